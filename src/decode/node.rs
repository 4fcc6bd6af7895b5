//! A part of a JSON answer that may be anything.
//!
//! Answers about customers and registers come rarely and in shapes of which little is certain: a field may be
//! a text, a number, an object with the text in it, or a list of one. A [`Node`] is walked without
//! minding; what is not there is a missing node, and asking on from there is missing too.

use std::borrow::Cow;

use serde_json::Value;

use crate::domain::Day;

use super::stamp::{Stamp, Stamps};
use super::{DecodeError, Scalar, json, number, text};

/// A part of an answer, or nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'a>(Option<&'a Value>);

/// The whole of a body as JSON.
pub(super) fn root(body: &[u8]) -> Result<Value, DecodeError> {
    let text = text(body)?;
    match json(text) {
        Err(error @ DecodeError::Json { .. }) => json(&number::without_boundless(text).ok_or(error)?),
        other => other,
    }
}

impl<'a> Node<'a> {
    /// That value.
    pub(super) fn of(value: &'a Value) -> Self {
        Self(Some(value).filter(|value| !value.is_null()))
    }

    /// A member of an object; of a list, of its first object.
    pub(super) fn get(self, name: &str) -> Self {
        let found = match self.0 {
            Some(Value::Object(members)) => members.get(name),
            Some(Value::Array(items)) => items.iter().find(|item| item.is_object()).and_then(|item| item.get(name)),
            _ => None,
        };
        found.map_or(Self(None), Self::of)
    }

    /// The first of these members that is there.
    pub(super) fn any(self, names: &[&str]) -> Self {
        names.iter().map(|name| self.get(name)).find(|node| node.is_there()).unwrap_or(Self(None))
    }

    /// Whether there is something, if only an empty text.
    pub(super) fn is_there(self) -> bool {
        self.0.is_some()
    }

    /// The entries of a list; one that is no list is its own only entry.
    pub(super) fn items(self) -> impl Iterator<Item = Node<'a>> {
        let items: &[Value] = match self.0 {
            Some(Value::Array(items)) => items,
            Some(one) => std::slice::from_ref(one),
            None => &[],
        };
        items.iter().map(Node::of).filter(|node| node.is_there())
    }

    /// Where it is a list, its first entry; where an object, the first of these members.
    pub(super) fn inner(self, names: &[&str]) -> Self {
        let first = self.items().next().unwrap_or(Self(None));
        if matches!(first.0, Some(Value::Object(_))) { first.any(names) } else { first }
    }

    /// Text without spaces at its ends, numbers as they are written; `None` for an empty one and for
    /// everything else.
    pub(super) fn text(self) -> Option<String> {
        let text = match self.0? {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        (!text.is_empty()).then_some(text)
    }

    /// Whether it is yes, as a boolean or in words.
    pub(super) fn is_true(self) -> bool {
        match self.0 {
            Some(Value::Bool(yes)) => *yes,
            Some(Value::String(text)) => text.trim().eq_ignore_ascii_case("true"),
            _ => false,
        }
    }

    /// The field as the readings of measures have it.
    pub(super) fn scalar(self) -> Scalar<'a> {
        match self.0 {
            None => Scalar::Missing,
            Some(Value::String(text)) => Scalar::Text(Cow::Borrowed(text)),
            Some(Value::Number(number)) => number.as_i64().map_or(Scalar::Other, Scalar::Whole),
            Some(_) => Scalar::Other,
        }
    }

    /// The label of a reading.
    pub(super) fn stamp(self) -> Option<Stamp> {
        Stamps::default().read(self.text()?.as_str())
    }

    /// A civil date, as it is written: an offset or a time beside it does not move it.
    pub(super) fn date(self) -> Option<Day> {
        let text = self.text()?;
        Stamps::default().read(&text)?;
        text.get(..10)?.parse().ok()
    }
}
