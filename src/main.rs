//! The linkyd program.

fn main() {}
