//! How MyElectricalData treats its users, and what is counted of them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use serde::Deserialize;

use crate::domain::{Api, Dataset, Day, Prm, dataset::Kind};
use crate::simulator::quota::none_if_zero;
use crate::simulator::text;

/// What becomes of a request for a longer curve than Enedis gives at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverLong {
    /// The first days are served as if no more had been asked for.
    #[default]
    Clip,
    /// The refusal of Enedis is swallowed: `NO_DATA`.
    NoData,
}

/// One user of the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MedAccount {
    /// Its client id.
    pub client_id: String,
    /// Its client secret.
    pub client_secret: String,
    /// Its meters; all of the world where empty.
    #[serde(default, deserialize_with = "text::list")]
    pub prms: Vec<Prm>,
}

impl MedAccount {
    /// Whether the meter is one of the account's.
    pub(super) fn owns(&self, prm: &Prm) -> bool {
        self.prms.is_empty() || self.prms.contains(prm)
    }
}

/// How MyElectricalData treats its users.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MedRules {
    /// Calls past the cache in a UTC day. `None` in Rust, 0 in TOML: no limit.
    #[serde(deserialize_with = "none_if_zero")]
    pub uncached_per_day: Option<u32>,
    /// Calls through the cache in a UTC day.
    #[serde(deserialize_with = "none_if_zero")]
    pub cached_per_day: Option<u32>,
    /// Calls over the quota after which the account is closed. 0 in TOML: it never is.
    #[serde(deserialize_with = "none_if_zero")]
    pub ban_after: Option<u32>,
    /// The users; one with credentials made from the seed where empty.
    pub accounts: Vec<MedAccount>,
    /// History of load curves, in months before today.
    pub curve_history_months: u32,
    /// History of daily values.
    pub daily_history_months: u32,
    /// Longest curve outside a batch.
    pub detail_days: i32,
    /// What becomes of a longer one.
    pub over_long: OverLong,
    /// Longest batch; the newest days of a longer one are served.
    pub batch_days: i32,
    /// The API whose bodies a batch has, whatever the header says.
    #[serde(deserialize_with = "text::one_api")]
    pub batch_format: Api,
    /// Says `NO_DATA` of a curve where Enedis failed, as some versions do.
    pub hide_failures: bool,
    /// Value of the `Deprecation` header of bodies of v5.
    pub deprecation: String,
}

impl Default for MedRules {
    fn default() -> Self {
        Self {
            uncached_per_day: Some(50),
            cached_per_day: Some(1000),
            ban_after: None,
            accounts: Vec::new(),
            curve_history_months: 24,
            daily_history_months: 36,
            detail_days: 7,
            over_long: OverLong::default(),
            batch_days: 730,
            batch_format: Api::V5,
            hide_failures: false,
            deprecation: "true".to_owned(),
        }
    }
}

impl MedRules {
    /// The users.
    pub(in crate::simulator) fn accounts(&self, seed: u64) -> Vec<MedAccount> {
        if self.accounts.is_empty() {
            let (client_id, client_secret) = ("simulated-client".to_owned(), format!("simulated-secret-{seed}"));
            return vec![MedAccount { client_id, client_secret, prms: Vec::new() }];
        }
        self.accounts.clone()
    }

    /// The first day that may be asked for.
    pub(super) fn history_begins(&self, dataset: Dataset, today: Day) -> Day {
        today.minus_months(match dataset.kind() {
            Kind::LoadCurve => self.curve_history_months,
            Kind::DailyEnergy | Kind::MaxPower | Kind::Registers => self.daily_history_months,
        })
    }
}

/// What was counted at MyElectricalData.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MedCounters {
    /// All requests, whatever became of them.
    pub requests: u64,
    /// Requests that said in no `User-Agent` who makes them.
    pub anonymous: u64,
    /// Requests for a token.
    pub token_calls: u64,
    /// Refused because of the credentials.
    pub unauthorized: u64,
    /// Calls for data past the cache by UTC day, those over the quota too.
    pub uncached: BTreeMap<NaiveDate, u64>,
    /// Calls for data through the cache by UTC day, those over the quota too.
    pub cached: BTreeMap<NaiveDate, u64>,
    /// Most calls past the cache of one account in a day.
    pub max_uncached_in_a_day: u64,
    /// Most calls through the cache of one account in a day.
    pub max_cached_in_a_day: u64,
    /// Calls over the quota.
    pub refused_by_quota: u64,
    /// Calls that the gateway made to Enedis.
    pub upstream_calls: u64,
    /// Days that were served from the cache.
    pub days_from_cache: u64,
    /// Requests refused because of a ban.
    pub refused_by_ban: u64,
    /// Client ids of closed accounts.
    pub banned: BTreeSet<String>,
}
