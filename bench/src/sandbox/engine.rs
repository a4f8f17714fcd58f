//! Our sandbox. The requests are those of `bench/peers/sandbox_peer.py`.

use sandbox::{Limits, Module, Policy};
use serde_json::{Value, json};

use crate::{
    Error,
    engines::{Fields, Loaded, OURS},
    serve::{Serve, number, text},
};

/// The engine of this name.
pub(crate) fn open(name: &str) -> Result<Box<dyn Serve>, Error> {
    match name {
        OURS => Ok(Box::new(Interpreter { module: None })),
        _ => Err(Error::engine(name, "runs no modules")),
    }
}

struct Interpreter {
    module: Option<Module>,
}

impl Serve for Interpreter {
    fn load(&mut self, fields: &Fields) -> Result<Loaded, Error> {
        let path = text(fields, "module")?;
        let wasm = std::fs::read(path).map_err(Error::io(path))?;
        self.module = Some(Module::compile(&wasm, &Policy::default()).map_err(|e| Error::engine(OURS, e))?);
        let setting = "wasmi, fuel metered, memory limited, a fresh instance a call".into();
        Ok(Loaded { version: env!("CARGO_PKG_VERSION").into(), setting, absent: None })
    }

    fn run(&mut self, case: &Fields) -> Result<(), Error> {
        (0..number(case, "times")?).try_for_each(|_| self.call(case).map(drop))
    }

    fn answers(&mut self, case: &Fields) -> Result<Value, Error> {
        Ok(json!({"result": self.call(case)?}))
    }
}

impl Interpreter {
    fn call(&self, case: &Fields) -> Result<u32, Error> {
        let Some(module) = &self.module else { return Err(Error::engine(OURS, "has no module")) };
        let argument = case.get("arguments").and_then(|a| a[0].as_u64()).and_then(|n| u32::try_from(n).ok());
        let argument = argument.ok_or_else(|| Error::engine("arguments", "is not in the request"))?;
        let mut input = [0; 8];
        input[0] = u8::from(text(case, "function")? == "mix");
        input[4..].copy_from_slice(&argument.to_le_bytes());
        let limits = Limits::new(FUEL, None).map_err(|e| Error::engine(OURS, e))?;
        let outcome = module.execute(&input, &limits).map_err(|e| Error::engine(OURS, e))?;
        let word = outcome.output.try_into().map_err(|_| Error::engine(OURS, "gives no word"))?;
        Ok(u32::from_le_bytes(word))
    }
}

const FUEL: u64 = sandbox::MAX_FUEL;
