//! What answers say of people: names, addresses, telephone numbers.
//!
//! linkyd asks for it only where it is told to, and never shows it: every text is a [`Personal`], whose
//! `Debug` shows nothing and which has no `Display`, so that no log line, error or panic can carry it by
//! accident. Types made of them show no more than their name, not even which parts are known.

use std::fmt;

/// A text about a person.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Personal(Box<str>);

impl Personal {
    /// That text without spaces at its ends; `None` where nothing is left.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.into()))
    }

    /// The text, for the tables of personal data only.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Gives types a `Debug` that shows their name alone.
macro_rules! hidden {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )*};
}

hidden!(Personal, Person, Organisation, Identity, Address, Contact);

/// A person.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Person {
    /// `M`, `MME` and the like.
    pub title: Option<Personal>,
    /// First name.
    pub first_name: Option<Personal>,
    /// Last name.
    pub last_name: Option<Personal>,
}

/// A company, an association, a commune. Often one person's, so it is personal as well.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Organisation {
    /// Registered name.
    pub name: Option<Personal>,
    /// Name it trades under.
    pub trading_name: Option<Personal>,
    /// What it does, or the code for it.
    pub business: Option<Personal>,
    /// SIRET number, of an establishment.
    pub siret: Option<Personal>,
    /// SIREN number, of the company.
    pub siren: Option<Personal>,
}

/// Who holds a contract.
#[derive(Clone, PartialEq, Eq)]
pub enum Identity {
    /// A person.
    Person(Person),
    /// Not a person.
    Organisation(Organisation),
}

/// An address. Empty where nothing of it is known.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Address {
    /// Staircase, floor, flat, building: what comes before the street.
    pub details: Vec<Personal>,
    /// Number and street.
    pub street: Option<Personal>,
    /// Hamlet or the like.
    pub locality: Option<Personal>,
    /// Postal code.
    pub postal_code: Option<Personal>,
    /// Town.
    pub city: Option<Personal>,
    /// Number of the commune at the statistical office.
    pub insee_code: Option<Personal>,
    /// Country.
    pub country: Option<Personal>,
    /// Latitude, longitude and altitude, as text.
    pub position: [Option<Personal>; 3],
}

/// How to reach somebody.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Contact {
    /// Telephone, mobile where there are two.
    pub phone: Option<Personal>,
    /// Fixed line.
    pub landline: Option<Personal>,
    /// Mail address.
    pub email: Option<Personal>,
}

impl Address {
    /// Whether nothing of it is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Contact {
    /// Whether nothing of it is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_shown() {
        let text = || Personal::new(" Camille Exemple ");
        let person = Person { last_name: text(), ..Person::default() };
        let all: [&dyn fmt::Debug; 5] = [
            &text(),
            &person,
            &Identity::Person(person.clone()),
            &Address { street: text(), ..Address::default() },
            &Contact { email: text(), ..Contact::default() },
        ];
        for shown in all.map(|value| format!("{value:?} {value:#?}")) {
            assert!(!shown.contains("xemple") && !shown.contains("name") && !shown.contains("mail"), "{shown}");
        }
        assert_eq!(text().unwrap().reveal(), "Camille Exemple");
        assert_eq!(Personal::new(" \t"), None);
    }
}
