//! A field that may be null or absent, where the two mean different things.

use serde::{Deserialize, Deserializer};

/// A field of an answer. Give it `#[serde(default)]`.
#[derive(Debug, Default)]
pub(super) enum Field<T> {
    /// Not there: this is no answer of the expected shape.
    #[default]
    Absent,
    /// Null: there is nothing.
    Null,
    /// There.
    Value(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<T>::deserialize(deserializer).map(|value| value.map_or(Self::Null, Self::Value))
    }
}
