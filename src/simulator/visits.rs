//! Who called how often: the counting behind a ban.
//!
//! Twice a day, at midnight and at noon in UTC, the operator of the Conso API looks at the twelve
//! hours that went by and bans each address that called too often; nobody is told. The count is
//! of requests, whatever became of them. One version of that job counts by calendar days. Sliding
//! windows are measured besides, for those who want to stay clear of the limit wherever a window
//! may begin.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use serde::Deserialize;

/// Seconds of one slot.
const SLOT: i64 = 12 * 3600;

/// Whose requests count together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BanWindow {
    /// Those of the twelve hours that went by.
    #[default]
    Slot,
    /// Those of the calendar day in which these twelve hours lay, in UTC.
    Day,
    /// Those of any 24 hours, and nobody waits for midnight or noon: stricter than what is known.
    Any24h,
}

/// What was counted about all addresses together or about the busiest of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Visits {
    /// All requests, whatever became of them.
    pub requests: u64,
    /// Requests that said in no `User-Agent` who makes them.
    pub anonymous: u64,
    /// Requests in each slot of twelve hours, by its beginning.
    pub by_slot: BTreeMap<DateTime<Utc>, u64>,
    /// Most requests of one address in a slot.
    pub max_in_a_slot: u64,
    /// Most requests of one address in a calendar day (UTC).
    pub max_in_a_day: u64,
    /// Most requests of one address in any twelve hours.
    pub max_in_12_hours: usize,
    /// Most requests of one address in any 24 hours.
    pub max_in_24_hours: usize,
    /// Requests refused because of a ban.
    pub refused_by_ban: u64,
    /// The banned addresses, and since when.
    pub banned: BTreeMap<String, DateTime<Utc>>,
}

/// One address.
#[derive(Debug, Default)]
struct Visitor {
    /// Requests by the number of the slot since 1970, of the slots that no job has looked at and
    /// the one before them.
    slots: BTreeMap<i64, u64>,
    /// Arrivals of the last 24 hours, by the monotonic clock.
    arrivals: VecDeque<Duration>,
}

/// The counting itself.
#[derive(Debug, Default)]
pub(super) struct Visited {
    pub(super) visits: Visits,
    visitors: BTreeMap<String, Visitor>,
}

impl Visited {
    /// Counts a request; true where it comes from a banned address.
    pub(super) fn arrive(
        &mut self,
        rule: Option<(u64, BanWindow)>,
        headers: &HeaderMap,
        at: (Duration, DateTime<Utc>),
    ) -> bool {
        let (arrived, wall) = at;
        self.judge(rule, wall);
        let address = address(headers);
        let slot = wall.timestamp().div_euclid(SLOT);
        let visits = &mut self.visits;
        visits.requests += 1;
        visits.anonymous += u64::from(headers.get("user-agent").is_none_or(|agent| agent.as_bytes().is_empty()));
        *visits.by_slot.entry(start_of(slot)).or_default() += 1;

        let visitor = self.visitors.entry(address.clone()).or_default();
        *visitor.slots.entry(slot).or_default() += 1;
        visitor.arrivals.push_back(arrived);
        let day = Duration::from_hours(24);
        while visitor.arrivals.front().is_some_and(|oldest| *oldest + day <= arrived) {
            visitor.arrivals.pop_front();
        }
        let half = Duration::from_hours(12);
        let within_half = visitor.arrivals.iter().rev().take_while(|at| **at + half > arrived).count();
        visits.max_in_a_slot = visits.max_in_a_slot.max(visitor.in_slot(slot));
        visits.max_in_a_day = visits.max_in_a_day.max(visitor.in_day_of(slot));
        visits.max_in_12_hours = visits.max_in_12_hours.max(within_half);
        visits.max_in_24_hours = visits.max_in_24_hours.max(visitor.arrivals.len());

        let banned = visits.banned.contains_key(&address);
        visits.refused_by_ban += u64::from(banned);
        if let Some((limit, BanWindow::Any24h)) = rule
            && u64::try_from(visitor.arrivals.len()).is_ok_and(|count| count >= limit)
        {
            visits.banned.entry(address).or_insert(wall);
        }
        banned
    }

    /// Does what the jobs since the last look would have done.
    pub(super) fn judge(&mut self, rule: Option<(u64, BanWindow)>, wall: DateTime<Utc>) {
        let current = wall.timestamp().div_euclid(SLOT);
        for (address, visitor) in &mut self.visitors {
            for elapsed in visitor.slots.range(..current).map(|(slot, _)| *slot) {
                let count = match rule {
                    Some((_, BanWindow::Slot)) => visitor.in_slot(elapsed),
                    Some((_, BanWindow::Day)) => visitor.in_day_of(elapsed),
                    _ => continue,
                };
                if rule.is_some_and(|(limit, _)| count >= limit) {
                    self.visits.banned.entry(address.clone()).or_insert(start_of(elapsed + 1));
                }
            }
            // The day of the current slot may have begun with the one before.
            visitor.slots.retain(|slot, _| *slot >= current - 1);
        }
    }

    /// Forgets what was counted, and every ban.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

impl Visitor {
    fn in_slot(&self, slot: i64) -> u64 {
        self.slots.get(&slot).copied().unwrap_or_default()
    }

    /// Requests of the day in which the slot lies, up to the end of the slot: a day begins with an
    /// even slot.
    fn in_day_of(&self, slot: i64) -> u64 {
        self.slots.range(slot - slot.rem_euclid(2)..=slot).map(|(_, count)| count).sum()
    }
}

fn start_of(slot: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(slot * SLOT, 0).unwrap_or_default()
}

/// The address that a request counts for. On loopback there is only one; a test that plays
/// several homes names them in `x-simulated-address`. Of IPv6, the network counts.
fn address(headers: &HeaderMap) -> String {
    let given = headers.get("x-simulated-address").and_then(|value| value.to_str().ok()).unwrap_or("127.0.0.1");
    match given.parse() {
        Ok(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        _ => given.to_owned(),
    }
}
