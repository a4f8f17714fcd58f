//! libFuzzer over the target that `EDGENET_FUZZ` names, whose seeds are written to the folder `EDGENET_FUZZ_SEEDS` first.
//! Without a name it lists the targets. Its flags are libFuzzer's; `run.sh` knows them.

#![no_main]

use std::{fs, path::Path, process::exit, sync::LazyLock};

use fuzz::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("EDGENET_FUZZ").unwrap_or_default();
    if let Some(target) = fuzz::target(&name) {
        return target;
    }
    TARGETS.iter().for_each(|target| println!("{} {}", target.name, target.most_bytes));
    exit(if name.is_empty() { 0 } else { 2 })
});

fuzz_target!(init: begin(), |input: &[u8]| {
    (TARGET.run)(input);
});

fn begin() {
    let seeds = (TARGET.seeds)();
    let Some(folder) = std::env::var_os("EDGENET_FUZZ_SEEDS") else { return };
    for (number, seed) in seeds.iter().enumerate() {
        let file = Path::new(&folder).join(format!("seed-{number}"));
        if let Err(error) = fs::write(&file, seed) {
            eprintln!("fuzz: {}: {error}", file.display());
            exit(2);
        }
    }
}
