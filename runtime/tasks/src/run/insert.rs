//! Vectors into an index of this machine.

use models::search::hnsw::Compute;

use super::{RunError, missing};
use crate::{
    host::{Execute, Host},
    outcome::Inserted,
    refusal::{Code, refuse},
    task::VectorInsert,
    values::Hash,
};

pub(super) fn run<H: Host>(task: &VectorInsert, host: &mut H) -> Result<Inserted, RunError> {
    let (index, devices) = host.index(&task.index).map_err(|e| missing("index", e))?;
    let compute = Compute { gather: devices.gather(), parallel: devices.parallel() };
    if let Err(e) = index.insert(&task.ids, &task.vectors.values, compute) {
        return Ok(refuse(Code::OutOfRange, "vectors", e.to_string())?);
    }
    Ok(Inserted {
        count: task.ids.len() as u64,
        total: index.len() as u64,
        index: Hash::of(&index.to_bytes()),
    })
}
