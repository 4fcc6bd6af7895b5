//! The contract of a meter and the people behind it.
//!
//! Everything that a world file leaves out is drawn from the meter's PRM, and obviously invented: names are
//! those of examples, mail addresses end in `example.org`, telephone numbers lie in the range that is set
//! aside for films.

pub(super) mod answers;

use serde::{Deserialize, Deserializer, de::Error};

use super::household::Household;
use super::meter::MeterSpec;
use super::noise::Noise;
use super::text;
use crate::domain::{Day, Direction};

/// Off-peak hours from one minute of the day to another; over midnight where the second is the earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffPeakSlot {
    /// First minute of the day.
    pub from: u16,
    /// The minute at which they end.
    pub to: u16,
}

impl OffPeakSlot {
    /// Whether a minute of the day lies in it.
    pub(super) fn holds(self, minute: i64) -> bool {
        let (from, to) = (i64::from(self.from), i64::from(self.to));
        if from < to { (from..to).contains(&minute) } else { minute >= from || minute < to }
    }

    fn text(self) -> String {
        format!("{}H{:02}-{}H{:02}", self.from / 60, self.from % 60, self.to / 60, self.to % 60)
    }
}

/// In which shape the API of 2026 gives segment and subscribed power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// As it was seen: the segment is a text, the power an object.
    #[default]
    Usual,
    /// Both are plain.
    Scalar,
    /// Both are objects.
    Object,
    /// Both are lists of one.
    List,
}

/// The contract of a meter.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContractSpec {
    /// Segment of what is drawn; what is fed in is `P4`.
    pub segment: String,
    /// Subscribed power; that of the household where left out.
    pub subscribed_kva: Option<i64>,
    /// Code of the network tariff; by the off-peak hours where left out.
    pub tariff: Option<String>,
    /// Off-peak hours, as `22:30-06:30`.
    #[serde(deserialize_with = "slots")]
    pub off_peak: Vec<OffPeakSlot>,
    /// What is answered about off-peak hours instead of the usual form of them.
    pub off_peak_text: Option<String>,
    /// Status of the contract.
    pub status: String,
    /// Code of the kind of meter.
    pub meter_type: String,
    /// What the API of 2026 says about the meter's reporting.
    pub services_level: String,
    /// Day of the last change of the network tariff.
    #[serde(deserialize_with = "text::some")]
    pub tariff_changed_on: Option<Day>,
    /// Day of the last change of the subscribed power.
    #[serde(deserialize_with = "text::some")]
    pub power_changed_on: Option<Day>,
    /// Shape of two fields in the API of 2026.
    pub shape: Shape,
}

impl Default for ContractSpec {
    fn default() -> Self {
        Self {
            segment: "C5".to_owned(),
            subscribed_kva: None,
            tariff: None,
            off_peak: vec![OffPeakSlot { from: 22 * 60 + 30, to: 6 * 60 + 30 }],
            off_peak_text: None,
            status: "SERVC".to_owned(),
            meter_type: "AMM".to_owned(),
            services_level: "Communicant (ouvert aux services)".to_owned(),
            tariff_changed_on: None,
            power_changed_on: None,
            shape: Shape::default(),
        }
    }
}

fn slots<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<OffPeakSlot>, D::Error> {
    let time = |text: &str| {
        let (hour, minute) = text.trim().split_once(':')?;
        let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
        (hour < 24 && minute < 60).then_some(hour * 60 + minute)
    };
    let slot = |text: &String| {
        let times = text.split_once('-').and_then(|(from, to)| Some((time(from)?, time(to)?)));
        times
            .filter(|(from, to)| from != to)
            .map(|(from, to)| OffPeakSlot { from, to })
            .ok_or_else(|| D::Error::custom(format!("{text:?} are no hours; write them as 22:30-06:30")))
    };
    Vec::<String>::deserialize(deserializer)?.iter().map(slot).collect()
}

impl ContractSpec {
    /// The text about off-peak hours; none for a price that is the same all day.
    fn off_peak_text(&self) -> Option<String> {
        let slots: Vec<String> = self.off_peak.iter().map(|slot| slot.text()).collect();
        let usual = (!slots.is_empty()).then(|| format!("HC ({})", slots.join(";")));
        self.off_peak_text.clone().or(usual)
    }

    fn tariff(&self) -> String {
        let usual = if self.off_peak.is_empty() { "BTINFCUST" } else { "BTINFMUDT" };
        self.tariff.clone().unwrap_or_else(|| usual.to_owned())
    }

    /// The tariff in words.
    fn tariff_label(&self) -> String {
        let code = self.tariff();
        let use_of = match code.get(5..6) {
            Some("C") => "Courte",
            Some("L") => "Longue",
            _ => "Moyenne",
        };
        let classes = match code.get(7..) {
            Some("DT") => " Heures Pleines Heures Creuses",
            Some("4") => " Deux Saisons Heures Pleines Heures Creuses",
            _ => "",
        };
        format!("Tarif BT<=36kVA {use_of} Utilisation{classes}")
    }
}

/// Who holds the contract. What is left out is invented.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CustomerSpec {
    /// Title, as `MME`.
    pub title: Option<String>,
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// Name of a company that holds the contract instead of a person.
    pub company: Option<String>,
    /// Number and street.
    pub street: Option<String>,
    /// Postal code.
    pub postal_code: Option<String>,
    /// Town.
    pub city: Option<String>,
    /// Telephone.
    pub phone: Option<String>,
    /// Mail address.
    pub email: Option<String>,
    /// Whether he or she shared the meter before anybody walks through the consent journey.
    pub shared: bool,
}

/// The customer with nothing left out.
#[derive(Debug, Clone)]
struct Customer {
    id: String,
    title: String,
    first_name: String,
    last_name: String,
    company: Option<String>,
    street: String,
    postal_code: String,
    city: String,
    phone: String,
    email: String,
}

impl Customer {
    fn of(seed: u64, meter: &MeterSpec) -> Self {
        let noise = Household::of(seed, &meter.prm).noise.at(-7);
        let pick = |at: i64, from: &[&'static str]| {
            let count = i64::try_from(from.len()).unwrap_or(1);
            usize::try_from(noise.at(at).below(count))
                .ok()
                .and_then(|index| from.get(index))
                .copied()
                .unwrap_or("Camille")
        };
        let spec = &meter.customer;
        let given = |field: &Option<String>, usual: String| field.clone().unwrap_or(usual);
        let first_name = given(&spec.first_name, pick(1, &["Camille", "Dominique", "Maxime", "Sasha"]).to_owned());
        let last_name = given(&spec.last_name, pick(2, &["EXEMPLE", "FICTIF", "INVENTE", "SIMULE"]).to_owned());
        let mail = format!("{}.{}@example.org", first_name.to_lowercase(), last_name.to_lowercase());
        Self {
            id: format!("-{}", noise.at(3).within(1_000_000_000, 1_999_999_999)),
            title: given(&spec.title, pick(4, &["M", "MME"]).to_owned()),
            company: spec.company.clone(),
            street: given(&spec.street, format!("{} rue des Exemples", noise.at(5).within(1, 99))),
            postal_code: given(&spec.postal_code, "00000".to_owned()),
            city: given(&spec.city, "VILLE-EXEMPLE".to_owned()),
            phone: given(&spec.phone, format!("+3319900{:04}", noise.at(6).below(10_000))),
            email: given(&spec.email, mail),
            first_name,
            last_name,
        }
    }
}

/// The day on which a direction began, in contracts: where the world does not say, long ago.
fn activated(meter: &MeterSpec, direction: Direction) -> Option<Day> {
    let long_ago = || "2015-06-01".parse().ok();
    meter.has(direction).then(|| meter.activated_on(direction).or_else(long_ago)).flatten()
}

/// Draws about a meter that have nothing to do with its household.
pub(super) fn noise(seed: u64, meter: &MeterSpec) -> Noise {
    Household::of(seed, &meter.prm).noise.at(-8)
}
