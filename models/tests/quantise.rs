//! Quantiser, recipe and validation on a small generated BERT, in both poolings.

mod quantise_support;

use std::collections::BTreeMap;

use models::bert::{BertConfig, IntModelError, Pooling};
use models::quantise::{
    FloatBert, FloatModelError, IntData, IntTensors, Layout, QuantiseError, Recipe, RecipeError, calibrate,
    nearest, quantise,
};
use quantise_support::{Lcg, config, texts, weights};
use sha2::{Digest, Sha256};

const VOCAB: &[u8] = b"[PAD]\n[UNK]\n";

#[test]
fn a_recipe_carries_a_calibration() {
    for pooling in [Pooling::Mean, Pooling::Cls] {
        let config = config(pooling);
        let bytes = weights(&config);
        let calibrated = calibrated(&bytes, &config);
        let recipe =
            Recipe::between(&FloatBert::from_safetensors(&bytes, &config).unwrap(), &calibrated).unwrap();
        assert_eq!(recipe.patched(), 0);
        let recipe = Recipe::from_bytes(&recipe.to_bytes()).unwrap();
        let made = quantise(&bytes, &config, Some(&recipe), VOCAB, &mut |_| ()).unwrap();
        assert_eq!(made.config().unwrap(), config);
        assert_eq!(made.flat::<u8>("vocab").unwrap(), VOCAB);
        assert_eq!(without_vocab(made), calibrated, "{pooling:?}");
    }
}

#[test]
fn calibration_finds_outliers_and_moves_weights() {
    let config = config(Pooling::Mean);
    let bytes = weights(&config);
    let float = FloatBert::from_safetensors(&bytes, &config).unwrap();
    let calibrated = calibrated(&bytes, &config);
    let perm = calibrated.flat::<u16>("perm").unwrap();
    assert_eq!(usize::from(perm[0]), quantise_support::OUTLIER_CHANNEL);
    let plain = nearest(&float, &Layout::from_weights(&float)).unwrap();
    assert_eq!(usize::from(plain.flat::<u16>("perm").unwrap()[0]), quantise_support::OUTLIER_CHANNEL);
    let recipe = Recipe::between(&float, &calibrated).unwrap();
    let unmoved = Recipe::between(&float, &plain).unwrap();
    assert!(recipe.to_bytes().len() > unmoved.to_bytes().len() + 1000, "rounding was not fitted");
    let nothing = calibrate(&float, &[], &mut |_| ());
    assert!(matches!(nothing, Err(QuantiseError::Calibration(_))));
    let foreign = calibrate(&float, &[vec![1], vec![2, config.vocab_size as u32]], &mut |_| ());
    assert!(matches!(foreign, Err(QuantiseError::Float(FloatModelError::Tokens { sequence: 1, .. }))));
}

#[test]
fn without_a_recipe_the_result_is_valid_and_repeatable() {
    let config = config(Pooling::Cls);
    let bytes = weights(&config);
    let mut steps = Vec::new();
    let first = quantise(&bytes, &config, None, VOCAB, &mut |p| steps.push((p.done, p.total))).unwrap();
    let second = quantise(&bytes, &config, None, VOCAB, &mut |_| ()).unwrap();
    assert_eq!(first.to_safetensors(), second.to_safetensors());
    assert_eq!(steps.last(), Some(&(13, 13)));
    let exp2 = first.get::<u16>("exp2", &[256]).unwrap();
    assert!(exp2[0] <= 1023 * 16, "320 tokens call for 10-bit probabilities");
    assert_eq!(first.groups("hidden_groups").unwrap(), [4, 4, 8, 48]);
    assert_eq!(first.groups("ffn_groups").unwrap(), [32, 112]);
}

#[test]
fn the_file_is_aligned_and_reads_back() {
    let config = config(Pooling::Mean);
    let model = quantise(&weights(&config), &config, None, b"odd", &mut |_| ()).unwrap();
    let file = model.to_safetensors();
    assert_eq!(IntTensors::from_safetensors(&file).unwrap(), model);
    let parsed = safetensors::SafeTensors::deserialize(&file).unwrap();
    for (name, view) in parsed.iter() {
        let offset = view.data().as_ptr() as usize - file.as_ptr() as usize;
        assert!(offset % 8 == 0 || name == "vocab", "{name} starts at {offset}");
    }
}

#[test]
fn integers_off_the_formulas_become_patches() {
    let config = config(Pooling::Mean);
    let bytes = weights(&config);
    let mut target = calibrated(&bytes, &config);
    let plants = [("ln0.b", 3), ("word", 77), ("pos", 5), ("layer.0.up.mc", 40), ("layer.1.key.b", 1)];
    for (name, index) in plants {
        nudge(&mut target, name, index);
    }
    // One copy of a unit alone, which no single code of the unit stands for.
    nudge(&mut target, "layer.1.up.q", 20 * config.hidden_size);
    target.metadata.insert("layer.0.query.t".into(), "0".into());
    let float = FloatBert::from_safetensors(&bytes, &config).unwrap();
    let recipe = Recipe::between(&float, &target).unwrap();
    assert!((7..200).contains(&recipe.patched()), "{}", recipe.patched());
    let recipe = Recipe::from_bytes(&recipe.to_bytes()).unwrap();
    let made = quantise(&bytes, &config, Some(&recipe), VOCAB, &mut |_| ()).unwrap();
    assert_eq!(without_vocab(made), target);
}

#[test]
fn a_recipe_is_bound_to_its_weights_and_config() {
    let config = config(Pooling::Mean);
    let mut bytes = weights(&config);
    let recipe = recipe(&bytes, &config);
    let cls = BertConfig { pooling: Pooling::Cls, ..config.clone() };
    let run = |bytes: &[u8], config: &BertConfig| quantise(bytes, config, Some(&recipe), VOCAB, &mut |_| ());
    assert!(matches!(run(&bytes, &cls), Err(QuantiseError::WrongConfig { .. })));
    let last = bytes.len() - 4;
    bytes[last] ^= 1;
    assert!(matches!(run(&bytes, &config), Err(QuantiseError::WrongWeights { .. })));
}

#[test]
fn damaged_recipes_are_refused() {
    let config = config(Pooling::Mean);
    let good = recipe(&weights(&config), &config).to_bytes();
    assert_eq!(Recipe::from_bytes(b"").unwrap_err(), RecipeError::Magic);
    assert_eq!(Recipe::from_bytes(&good[..50]).unwrap_err(), RecipeError::Checksum);
    let mut version = good.clone();
    version[8] = 9;
    assert_eq!(Recipe::from_bytes(&version).unwrap_err(), RecipeError::Version { found: 9, wanted: 1 });
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    assert_eq!(Recipe::from_bytes(&flipped).unwrap_err(), RecipeError::Checksum);
}

/// Bytes a stranger made, checksum and all: an error or a valid model, never a panic.
#[test]
fn hostile_recipes_do_not_panic() {
    let config = config(Pooling::Mean);
    let bytes = weights(&config);
    let good = recipe(&bytes, &config).to_bytes();
    let mut random = Lcg(42);
    let mut parsed = 0;
    for round in 0..600 {
        let mut bad = good[..good.len() - 32].to_vec();
        match round % 3 {
            // Structure: the fields before the coded differences.
            0 => (0..1 + round % 4).for_each(|_| bad[10 + random.below(900)] = random.below(256) as u8),
            1 => bad.truncate(random.below(bad.len())),
            _ => {
                let at = random.below(bad.len());
                bad[at] ^= 1 << random.below(8);
            }
        }
        let digest = Sha256::digest(&bad);
        bad.extend_from_slice(&digest);
        if let Ok(recipe) = Recipe::from_bytes(&bad) {
            parsed += 1;
            if parsed % 8 == 0 {
                let _ = quantise(&bytes, &config, Some(&recipe), VOCAB, &mut |_| ());
            }
        }
        let noise: Vec<u8> = (0..random.below(300)).map(|_| random.below(256) as u8).collect();
        let mut noise = [b"ENRECIPE\x01\x00".to_vec(), noise].concat();
        noise.extend_from_slice(&Sha256::digest(&noise));
        Recipe::from_bytes(&noise).unwrap_err();
    }
    assert!((50..550).contains(&parsed), "{parsed} of 600 parsed: the test reaches one side only");
}

#[test]
fn validation_catches_planted_faults() {
    let config = config(Pooling::Mean);
    let model = quantise(&weights(&config), &config, None, VOCAB, &mut |_| ()).unwrap();
    let fails = |plant: &dyn Fn(&mut IntTensors)| {
        let mut planted = model.clone();
        plant(&mut planted);
        planted.validate().expect_err("a planted fault").to_string()
    };
    let set = |key: &'static str, value: &'static str| {
        fails(&move |m| drop(m.metadata.insert(key.into(), value.into())))
    };
    assert!(set("layer.0.up.t", "30").contains("acc can reach"));
    assert!(set("layer.1.down.S", "0").contains("y can reach"));
    assert!(set("layer.1.down.S", "32").contains("layer.1.down.S"));
    assert!(set("ln0.e", "2").contains("ln0.e"));
    assert!(set("hidden_groups", "[4,4,8,44]").contains("hidden_groups"));
    assert!(set("hidden_groups", "[18446744073709551615,65]").contains("hidden_groups"));
    assert!(set("numerics", "2").contains("numerics"));
    // One integer changed: down's correction no longer fits, tables and order are fixed.
    for name in ["layer.1.down.q", "layer.0.down.corr", "exp2", "gelu", "perm"] {
        let text = fails(&|m| nudge(m, name, 9));
        assert!(text.contains(if name.ends_with(".q") { "down.corr" } else { name }), "{text}");
    }
    assert!(fails(&|m| drop(m.tensors.remove("layer.1.ln2.b"))).contains("no tensor layer.1.ln2.b"));
    let minus_128 = fails(&|m| {
        if let Some(IntData::I8(v)) = m.tensors.get_mut("layer.1.value.q").map(|t| &mut t.data) {
            v[7] = i8::MIN;
        }
    });
    assert!(minus_128.contains("layer.1.value.q[7] is -128"));
    let bias = fails(&|m| {
        if let Some(IntData::I32(v)) = m.tensors.get_mut("layer.0.o.b").map(|t| &mut t.data) {
            v[5] = i32::MAX;
        }
    });
    assert!(bias.contains("layer.0.o.q row 5: y can reach"));
}

#[test]
fn float_models_are_checked() {
    let config = config(Pooling::Mean);
    let read = |tensors: &quantise_support::Tensors| {
        let bytes = quantise_support::safetensors(tensors);
        FloatBert::from_safetensors(&bytes, &config).map(drop)
    };
    let good = quantise_support::tensors(&config);
    read(&good).unwrap();
    let with = |change: &dyn Fn(&mut quantise_support::Tensors)| {
        let mut tensors = good.clone();
        change(&mut tensors);
        read(&tensors)
    };
    let name = "encoder.layer.1.output.dense.weight";
    let missing = with(&|t| drop(t.remove(name)));
    assert!(matches!(missing, Err(FloatModelError::MissingTensor { name: n }) if n == name));
    let shape = with(&|t| t.get_mut(name).unwrap().0.reverse());
    assert!(matches!(shape, Err(FloatModelError::Shape { wanted, .. }) if wanted == [64, 128]));
    let nan = with(&|t| t.get_mut(name).unwrap().1[70] = f32::NAN);
    assert!(matches!(nan, Err(FloatModelError::NotFinite { index: 70, .. })));
    let prefixed: BTreeMap<_, _> = good.iter().map(|(k, v)| (format!("bert.{k}"), v.clone())).collect();
    read(&prefixed).unwrap();
    assert!(matches!(FloatBert::from_safetensors(b"short", &config), Err(FloatModelError::Container(_))));
    let wide = BertConfig { hidden_size: 512, ..config.clone() };
    assert!(matches!(FloatBert::from_safetensors(b"", &wide), Err(FloatModelError::Config(_))));
}

#[test]
fn unaligned_and_half_precision_weights_read_alike() {
    let config = config(Pooling::Mean);
    let embed =
        |bytes: &[u8]| FloatBert::from_safetensors(bytes, &config).unwrap().embed(&[3, 1, 4, 1, 5]).unwrap();
    // Values with 8 significant bits are exact in bf16.
    let mut tensors = quantise_support::tensors(&config);
    for value in tensors.values_mut().flat_map(|t| t.1.iter_mut()) {
        *value = f32::from_bits(value.to_bits() & 0xffff_0000);
    }
    let full = quantise_support::safetensors(&tensors);
    let wanted = embed(&full);
    assert_eq!(embed(&quantise_support::bf16_safetensors(&tensors)), wanted);
    let shifted: Vec<u8> = std::iter::once(0).chain(full.iter().copied()).collect();
    assert_eq!(embed(&shifted[1..]), wanted);
}

#[test]
fn poolings_agree_on_one_token_only() {
    let mean = config(Pooling::Mean);
    let cls = BertConfig { pooling: Pooling::Cls, ..mean.clone() };
    let bytes = weights(&mean);
    let embed = |config: &BertConfig, ids: &[u32]| {
        FloatBert::from_safetensors(&bytes, config).unwrap().embed(ids).unwrap()
    };
    assert_eq!(embed(&mean, &[7]), embed(&cls, &[7]));
    assert_ne!(embed(&mean, &[7, 8]), embed(&cls, &[7, 8]));
    let length: f32 = embed(&cls, &[7, 8, 9]).iter().map(|x| x * x).sum();
    assert!((length - 1.0).abs() < 1e-5);
}

fn calibrated(bytes: &[u8], config: &BertConfig) -> IntTensors {
    let float = FloatBert::from_safetensors(bytes, config).unwrap();
    calibrate(&float, &texts(config), &mut |_| ()).unwrap()
}

fn recipe(bytes: &[u8], config: &BertConfig) -> Recipe {
    let float = FloatBert::from_safetensors(bytes, config).unwrap();
    Recipe::between(&float, &calibrated(bytes, config)).unwrap()
}

fn without_vocab(mut model: IntTensors) -> IntTensors {
    model.tensors.remove("vocab").unwrap();
    model
}

/// Moves one element by 1 toward 0, or from 0 to 1.
fn nudge(model: &mut IntTensors, name: &str, index: usize) {
    match &mut model.tensors.get_mut(name).unwrap().data {
        IntData::I8(v) => v[index] -= if v[index] == 0 { -1 } else { v[index].signum() },
        IntData::U8(v) => v[index] = v[index].checked_sub(1).unwrap_or(1),
        IntData::I16(v) => v[index] -= if v[index] == 0 { -1 } else { v[index].signum() },
        IntData::U16(v) => v[index] = v[index].checked_sub(1).unwrap_or(1),
        IntData::I32(v) => v[index] -= if v[index] == 0 { -1 } else { v[index].signum() },
    }
}

#[test]
fn validate_names_a_missing_key() {
    let missing = IntTensors::default().validate();
    assert!(matches!(missing, Err(IntModelError::MissingMetadata { key }) if key == "format"));
}
