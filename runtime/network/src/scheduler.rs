//! How much of the machine the node may use: signals in, duty and slice out.
