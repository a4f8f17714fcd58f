
mod base_rule;
mod pacing;
mod properties;
mod reference;
