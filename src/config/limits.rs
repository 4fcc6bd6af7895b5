//! `[source.NAME.limits]`: how often a source may be asked.
//!
//! Each kind has defaults on the safe side and ceilings: what the source allows, with a distance
//! kept to whatever it punishes. An operator may lower a limit, and exceed a ceiling only where
//! his contract says so or the source is a machine's own loopback. docs/configuration.md lists the
//! numbers and where they come from.

use super::explain::Origin;
use super::kind::{SourceKind, listed};
use super::read::Table;
use crate::source::{conso_api, myelectricaldata};

/// The limits of a source: each at least 1, within what the source allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Requests in one second.
    pub per_second: u32,
    /// Requests in any sixty minutes; `None`: no such limit.
    pub per_hour: Option<u32>,
    /// Requests in any 24 hours; `None`: no such limit. Where the source has a cache: requests that
    /// reach Enedis.
    pub per_day: Option<u32>,
    /// How many of `per_day` are left to other programs; fewer than `per_day`.
    pub reserved_per_day: u32,
    /// Requests in any 24 hours that the source may answer from its cache; `None` where it has none.
    pub cached_per_day: Option<u32>,
}

impl LimitsConfig {
    /// Requests in any 24 hours that are linkyd's own, at least 1; `None`: no such limit.
    #[must_use]
    pub fn own_per_day(&self) -> Option<u32> {
        self.per_day.map(|per_day| per_day.saturating_sub(self.reserved_per_day).max(1))
    }
}

/// A limit: what it is unless somebody says otherwise, and what it may be at the most.
#[derive(Debug, Clone, Copy, Default)]
struct Limit {
    default: Option<u32>,
    most: Option<u32>,
}

impl Limit {
    const fn new(default: u32, most: u32) -> Self {
        Self { default: Some(default), most: Some(most) }
    }
}

/// The limits of a kind.
struct Rules {
    per_second: Limit,
    per_hour: Limit,
    per_day: Limit,
    /// `None` where the kind has no cache.
    cached_per_day: Option<Limit>,
    /// Who sets the ceilings, for messages: "above the 5 that Enedis allows".
    ceiling: &'static str,
    /// When more may be asked: "if your contract allows more".
    more: &'static str,
}

/// Below the 1000 calls an hour that Enedis allows, because its clock and ours need not count the
/// same hour.
const ENEDIS: Rules = Rules {
    per_second: Limit::new(5, 5),
    per_hour: Limit::new(900, 1000),
    per_day: Limit { default: None, most: None },
    cached_per_day: None,
    ceiling: "that Enedis allows",
    more: "if your contract allows more",
};

/// The gateway bans an address that made 100 calls in half a day. Its count was seen to go by
/// calendar dates, and a half-day that crosses midnight touches two of them; so twice the ceiling
/// must stay a fifth below 100.
const CONSO_API: Rules = Rules {
    per_second: Limit::new(conso_api::PER_SECOND, 1),
    per_hour: Limit::new(conso_api::PER_HOUR, 20),
    per_day: Limit::new(conso_api::PER_DAY, 40),
    cached_per_day: None,
    ceiling: "that keep clear of a ban by conso-api",
    more: "if its operator allowed you more",
};

/// 50 calls a day that reach Enedis and 1000 that the cache may answer, by UTC days.
const MYELECTRICALDATA: Rules = Rules {
    per_second: Limit::new(myelectricaldata::PER_SECOND, 1),
    per_hour: Limit { default: None, most: None },
    per_day: Limit::new(myelectricaldata::LIVE_PER_DAY, 50),
    cached_per_day: Some(Limit::new(myelectricaldata::CACHED_PER_DAY, 1000)),
    ceiling: "that myelectricaldata allows",
    more: "if its operator allowed you more",
};

fn rules(kind: SourceKind) -> &'static Rules {
    match kind {
        SourceKind::Enedis => &ENEDIS,
        SourceKind::ConsoApi => &CONSO_API,
        SourceKind::MyElectricalData => &MYELECTRICALDATA,
    }
}

/// Reads the limits of a source of that kind; `loopback` is whether it is on this machine.
pub(super) fn limits(table: &Table<'_>, kind: SourceKind, loopback: bool) -> Option<LimitsConfig> {
    let rules = rules(kind);
    let negotiated = table.flag("negotiated").is_some_and(|found| found.value);
    let read = Reading { table, rules, free: negotiated || loopback };
    let per_second = read.limit("requests_per_second", rules.per_second);
    let per_hour = read.limit("requests_per_hour", rules.per_hour);
    let per_day = read.limit("requests_per_day", rules.per_day);
    let cached_per_day = read.cached(kind);
    let reserved_per_day = per_day.ok().and_then(|per_day| read.reserved(kind, per_day));
    Some(LimitsConfig {
        per_second: per_second.ok()??,
        per_hour: per_hour.ok()?,
        per_day: per_day.ok()?,
        reserved_per_day: reserved_per_day?,
        cached_per_day: cached_per_day.ok()?,
    })
}

struct Reading<'t, 'a> {
    table: &'t Table<'a>,
    rules: &'static Rules,
    /// Whether any number is taken.
    free: bool,
}

/// What was read has been found wrong and reported.
#[derive(Debug, Clone, Copy)]
struct Reported;

impl Reading<'_, '_> {
    /// The limit under a key; `None` where there is no such limit.
    fn limit(&self, key: &str, limit: Limit) -> Result<Option<u32>, Reported> {
        let Some(origin) = self.table.origin_of(key) else { return Ok(limit.default) };
        let found = self.table.count(key).ok_or(Reported)?.value;
        match limit.most {
            Some(most) if !self.free && found > most => {
                let Rules { ceiling, more, .. } = self.rules;
                let message =
                    format!("{key} = {found} is above the {most} {ceiling}; lower it, or add negotiated = true {more}");
                self.table.reader.problem(&origin, &message);
                Err(Reported)
            }
            _ => Ok(Some(found)),
        }
    }

    fn cached(&self, kind: SourceKind) -> Result<Option<u32>, Reported> {
        const KEY: &str = "cached_requests_per_day";
        match (self.rules.cached_per_day, self.table.origin_of(KEY)) {
            (Some(limit), _) => self.limit(KEY, limit),
            (None, None) => Ok(None),
            (None, Some(origin)) => {
                let has = listed(&super::schema::LIMITS_OF_EVERY_KIND);
                let message =
                    format!("{KEY} means nothing to kind {:?}, which has no cache; it has {has}", kind.name());
                self.table.reader.problem(&origin, &message);
                Err(Reported)
            }
        }
    }

    /// What is left to other programs, of a day's budget that there must be.
    fn reserved(&self, kind: SourceKind, per_day: Option<u32>) -> Option<u32> {
        const KEY: &str = "reserved_per_day";
        let Some(origin) = self.table.origin_of(KEY) else { return Some(0) };
        let reserved = self.table.whole(KEY)?.value;
        let complaint = match per_day {
            _ if reserved == 0 => return Some(0),
            None => format!(
                "{KEY} is taken off requests_per_day, which kind {:?} does not have by itself; add requests_per_day",
                kind.name()
            ),
            Some(per_day) if reserved >= per_day => {
                let day = self.table.origin_of("requests_per_day");
                let whose = if day.is_none_or(|origin| origin == Origin::Default) { " by default" } else { "" };
                format!("{KEY} = {reserved} leaves nothing of requests_per_day, which is {per_day}{whose}; lower it")
            }
            Some(_) => return Some(reserved),
        };
        self.table.reader.problem(&origin, &complaint);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls in half a day for which conso-api bans an address.
    const BAN: u32 = 100;

    #[test]
    fn nobody_comes_near_a_ban_however_the_gateway_counts() {
        let most = CONSO_API.per_day.most.unwrap();
        // A window of calendar dates that a half-day touches is two days long at the most.
        assert!(2 * most <= BAN * 8 / 10);
        assert!(CONSO_API.per_day.default.unwrap() <= most);
    }

    #[test]
    fn defaults_are_within_the_ceilings() {
        for rules in SourceKind::ALL.map(rules) {
            assert!(rules.per_second.default.is_some(), "every kind has a pace");
            let cached = rules.cached_per_day.unwrap_or_default();
            for limit in [rules.per_second, rules.per_hour, rules.per_day, cached] {
                if let (Some(default), Some(most)) = (limit.default, limit.most) {
                    assert!(default <= most);
                }
            }
        }
    }
}
