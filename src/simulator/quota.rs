//! Counting calls as strictly as a server can.
//!
//! A call counts at the moment it arrives, whether it is then answered or refused, by a clock
//! that never steps. No second, wherever it begins, may hold more calls than allowed. The hour
//! is the one on the wall, because Enedis was seen to open again at full hours; sliding hours
//! are measured too, for those who want to be stricter than that.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::conso::ConsoCounters;
use super::front::Front;
use super::med::MedCounters;
use super::refusal::{Envelope, Refusal};
use super::service::Service;
use crate::domain::{Api, Dataset, Day, Prm};

/// Calls that are allowed. `None` in Rust, 0 in TOML: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// In any second, both APIs together.
    #[serde(deserialize_with = "none_if_zero")]
    pub per_second: Option<u32>,
    /// In an hour of API v5.
    #[serde(deserialize_with = "none_if_zero")]
    pub per_hour_v5: Option<u32>,
    /// In an hour of the API of 2026.
    #[serde(deserialize_with = "none_if_zero")]
    pub per_hour_2026: Option<u32>,
}

/// Reads 0 as "no limit".
pub(super) fn none_if_zero<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    u32::deserialize(deserializer).map(|limit| Some(limit).filter(|limit| *limit > 0))
}

impl Limits {
    /// No limits at all.
    pub const OFF: Self = Self { per_second: None, per_hour_v5: None, per_hour_2026: None };
}

impl Default for Limits {
    fn default() -> Self {
        Self { per_second: Some(5), per_hour_v5: Some(10_000), per_hour_2026: Some(1000) }
    }
}

/// One call for data, to whichever front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedCall {
    /// When it arrived, by the monotonic clock.
    pub arrived: Duration,
    /// When it arrived, by the wall clock.
    pub at: DateTime<Utc>,
    /// Whom it was for.
    pub front: Front,
    /// In which API; for a gateway, the API whose bodies it asks for.
    pub api: Api,
    /// What it asked for.
    pub dataset: Dataset,
    /// Of which meter, where that could be read.
    pub prm: Option<Prm>,
    /// First day, where that could be read.
    pub start: Option<Day>,
    /// End, not included, where that could be read.
    pub end: Option<Day>,
    /// Status of the answer; 0 while there is none, and for ever where the connection was cut.
    pub status: u16,
    /// Code of the error.
    pub code: Option<String>,
}

impl LoggedCall {
    /// The call as an object of a log file.
    pub(super) fn json(&self) -> serde_json::Value {
        let day = |day: Option<Day>| day.map(|day| day.to_string());
        serde_json::json!({
            "at": self.at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            "front": self.front.name(),
            "api": self.api.name(),
            "dataset": self.dataset.name(),
            "prm": self.prm.as_ref().map(Prm::full),
            "start": day(self.start),
            "end": day(self.end),
            "status": self.status,
            "code": self.code,
        })
    }
}

/// Everything that was counted. What has no name of a gateway is about Enedis alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Calls for data, refused ones too.
    pub data_calls: u64,
    /// Of these, the ones for measures, by dataset.
    pub by_dataset: BTreeMap<Dataset, u64>,
    /// The other ones, by service.
    pub by_service: BTreeMap<Service, u64>,
    /// Refused because of the second.
    pub refused_by_second: u64,
    /// Refused because of the hour.
    pub refused_by_hour: u64,
    /// Refused because of the token.
    pub unauthorized: u64,
    /// Most calls in any sliding second.
    pub max_in_a_second: usize,
    /// Most calls in any sliding hour.
    pub max_in_an_hour: usize,
    /// Arrival of the first call, by the monotonic clock.
    pub first_arrival: Option<Duration>,
    /// Arrival of the last call, by the monotonic clock.
    pub last_arrival: Option<Duration>,
    /// Requests for a token, refused ones too.
    pub token_calls: u64,
    /// The Conso API.
    pub conso: ConsoCounters,
    /// MyElectricalData.
    pub myelectricaldata: MedCounters,
}

/// One hour of the wall clock and what arrived in it.
#[derive(Debug, Clone, Copy)]
struct Hour {
    number: i64,
    began: Duration,
    calls: u32,
}

/// The counting itself.
#[derive(Debug, Default)]
pub(super) struct Quota {
    pub(super) counters: Counters,
    arrivals: VecDeque<Duration>,
    hours: BTreeMap<Api, Hour>,
}

impl Quota {
    /// Counts a call that arrived and says whether it may go on.
    pub(super) fn arrive(
        &mut self,
        limits: Limits,
        api: Api,
        now: Duration,
        wall: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        let counters = &mut self.counters;
        counters.data_calls += 1;
        counters.first_arrival.get_or_insert(now);
        counters.last_arrival = Some(now);

        self.arrivals.push_back(now);
        while self.arrivals.front().is_some_and(|oldest| *oldest + Duration::from_hours(1) <= now) {
            self.arrivals.pop_front();
        }
        let in_second = self.arrivals.iter().rev().take_while(|at| **at + Duration::from_secs(1) > now).count();
        counters.max_in_a_second = counters.max_in_a_second.max(in_second);
        counters.max_in_an_hour = counters.max_in_an_hour.max(self.arrivals.len());

        let hour = wall.timestamp().div_euclid(3600);
        let fresh = Hour { number: hour, began: now, calls: 0 };
        let counted = self.hours.entry(api).or_insert(fresh);
        // A wall clock that is set back opens nothing; an hour that has really passed does.
        if hour > counted.number || now >= counted.began + Duration::from_hours(1) {
            *counted = fresh;
        }
        counted.calls += 1;
        let per_hour = match api {
            Api::V5 => limits.per_hour_v5,
            Api::V2026 => limits.per_hour_2026,
        };
        if per_hour.is_some_and(|limit| counted.calls > limit) {
            counters.refused_by_hour += 1;
            return Err(hour_used_up(next_access_time(wall)));
        }
        if limits.per_second.is_some_and(|limit| in_second > usize::try_from(limit).unwrap_or(usize::MAX)) {
            counters.refused_by_second += 1;
            let text = "You have exceeded your quota";
            return Err(Refusal::new(429, Envelope::E3, "900807", text));
        }
        Ok(())
    }
}

/// The refusal of the hourly quota, which opens again at `next`.
pub(super) fn hour_used_up(next: String) -> Refusal {
    let text = format!("You have exceeded your quota .You can access API after {next}");
    Refusal { next_access: Some(next), ..Refusal::new(429, Envelope::E3, "900804", &text) }
}

/// The next full hour, as the gateway writes it.
pub(super) fn next_access_time(wall: DateTime<Utc>) -> String {
    let next = (wall.timestamp().div_euclid(3600) + 1) * 3600;
    gateway_time(DateTime::from_timestamp(next, 0).unwrap_or(wall))
}

/// An instant, as the gateway writes it.
pub(super) fn gateway_time(at: DateTime<Utc>) -> String {
    at.format("%Y-%b-%d %H:%M:%S+0000 UTC").to_string()
}
