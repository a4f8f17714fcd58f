//! Tasks: validated, priced, run through plans or the sandbox, canonical result bytes.
//!
//! ```text
//! Task::from_json / from_bytes  ->  Task::check  ->  base_price  ->  run  ->  Outcome::to_bytes, digest
//! ```
//! Whatever is wrong with a payload is a [`Refusal`] with a [`Code`] and the field's name, before any work. [`run`] asks
//! its [`Host`] for devices, models, indexes and modules, and knows none of them.

mod check;
mod host;
pub mod limits;
mod outcome;
mod price;
mod refusal;
mod run;
mod task;
mod values;

pub use check::{Checked, Tier};
pub use host::{Execute, ExecuteError, Host, Loan, Missing, Shape, TextModel};
pub use identity::aead as encryption;
pub use outcome::{
    Compressed, Embeddings, Executed, Found, Inferred, Inserted, Match, Matched, NUMERICS_VERSION, Outcome,
    Ranked,
};
pub use price::{Known, MICRO, base_price, fuel_price};
pub use refusal::{Code, Refusal};
pub use run::{RunError, compress, run};
pub use task::{
    Agent, Codec, Compression, CustomWasm, Direction, Embedding, Encryption, NeuralInference, SemanticMatch,
    Target, Task, VectorInsert, VectorSearch,
};
pub use values::{Bytes, Hash, Matrix};
