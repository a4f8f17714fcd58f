//! Spiking networks: file formats, quantiser, plans, importers, and the committed MNIST network.

mod format;
mod import;
mod mnist;
mod plans;
mod quantiser;
mod reference;
mod support;
