//! Every key that the configuration knows, and every default, in one place.
//!
//! The table serves three ends: to tell unknown keys from known ones, to suggest the nearest one,
//! and to let tests prove that `config.toml` and the reference list all of them.

use crate::domain::{CustomerDataset, Dataset};

/// Where the configuration is looked for unless `--config` says otherwise.
pub const DEFAULT_FILE: &str = "/etc/linkyd/config.toml";
/// `database.url`.
pub const DATABASE_URL: &str = "sqlite://linkyd.db";
/// `source.*.environment`.
pub const ENVIRONMENT: &str = "production";
/// `source.*.api`.
pub const API: &str = "2026";
/// `schedule.wake_at`; Enedis publishes the day before from this hour on, so it is also the
/// earliest.
pub const WAKE_AT: &str = "08:00";
/// `schedule.retry_until`.
pub const RETRY_UNTIL: &str = "20:00";
/// `database.raw_answers_keep`.
pub const RAW_ANSWERS_KEEP: &str = "400d";
/// `log.filter`.
pub const LOG_FILTER: &str = "info";
/// `log.format`.
pub const LOG_FORMAT: &str = "auto";
/// `http.listen`.
pub const HTTP_LISTEN: &str = "127.0.0.1:9764";
/// `meter.*.datasets`.
pub const METER_DATASETS: [Dataset; 3] =
    [Dataset::ConsumptionLoadCurve, Dataset::DailyConsumption, Dataset::DailyMaxPower];

/// The only key that stands above all sections.
pub const METERS_FILE: &str = "meters_file";
/// The columns of that file, which are the keys of `[[meter]]`.
pub const METER_KEYS: [&str; 5] = ["prm", "name", "sources", "datasets", "since"];

/// Keys that a source of any kind has.
pub const KEYS_OF_EVERY_KIND: [&str; 3] = ["kind", "base_url", "limits"];
/// Keys that only some kinds have ([`super::SourceKind::keys`]).
pub const KEYS_OF_SOME_KINDS: [&str; 8] =
    ["environment", "api", "client_id", "client_secret", "client_secret_file", "token", "token_file", "version"];
/// Limits that a source of any kind has.
pub const LIMITS_OF_EVERY_KIND: [&str; 5] =
    ["requests_per_second", "requests_per_hour", "requests_per_day", "reserved_per_day", "negotiated"];

/// Every key; `*` stands for a name of the operator's, a dataset or the position of a meter.
pub const KEYS: [&str; 43] = [
    METERS_FILE,
    "database.url",
    "database.password",
    "database.password_file",
    "database.raw_answers",
    "database.raw_answers_keep",
    "source.*.kind",
    "source.*.environment",
    "source.*.base_url",
    "source.*.api",
    "source.*.client_id",
    "source.*.client_secret",
    "source.*.client_secret_file",
    "source.*.token",
    "source.*.token_file",
    "source.*.version",
    "source.*.limits.requests_per_second",
    "source.*.limits.requests_per_hour",
    "source.*.limits.requests_per_day",
    "source.*.limits.cached_requests_per_day",
    "source.*.limits.reserved_per_day",
    "source.*.limits.negotiated",
    "schedule.wake_at",
    "schedule.retry_until",
    "schedule.every.consumption_load_curve",
    "schedule.every.production_load_curve",
    "schedule.every.daily_consumption",
    "schedule.every.daily_production",
    "schedule.every.daily_max_power",
    "schedule.every.consumption_index",
    "schedule.every.production_index",
    "log.filter",
    "log.format",
    "http.listen",
    "http.allow_remote",
    "http.hosts",
    "http.token",
    "http.token_file",
    "meter.*.prm",
    "meter.*.name",
    "meter.*.sources",
    "meter.*.datasets",
    "meter.*.since",
];

/// The names that may stand below `path`, or `None` where any name may.
pub(super) fn children(path: &[&str]) -> Option<Vec<&'static str>> {
    let mut names: Vec<&'static str> = Vec::new();
    for key in KEYS {
        let mut segments = key.split('.');
        let below = path.iter().all(|wanted| segments.next().is_some_and(|s| s == "*" || s == *wanted));
        if let (true, Some(name)) = (below, segments.next()) {
            if name == "*" {
                return None;
            }
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    // What is known of customers is no unknown key; the section says why it has no place there.
    if path == ["schedule", "every"] {
        names.extend(CustomerDataset::ALL.map(CustomerDataset::name));
    }
    Some(names)
}

/// The sections in which `key` would be known, written as in the file.
pub(super) fn homes(key: &str) -> Vec<String> {
    let suffix = format!(".{key}");
    KEYS.iter()
        .filter_map(|known| known.strip_suffix(suffix.as_str()))
        .map(|section| {
            let name = section.replace('*', "NAME");
            if section.starts_with("meter") { "[[meter]]".to_owned() } else { format!("[{name}]") }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_stands_below_what() {
        assert_eq!(children(&[]).unwrap(), ["meters_file", "database", "source", "schedule", "log", "http", "meter"]);
        assert_eq!(children(&["source"]), None);
        assert_eq!(children(&["http"]).unwrap(), ["listen", "allow_remote", "hosts", "token", "token_file"]);
        assert_eq!(children(&["meter", "0"]).unwrap(), METER_KEYS);
        assert_eq!(homes("listen"), ["[http]"]);
        assert_eq!(homes("requests_per_day"), ["[source.NAME.limits]"]);
    }
}
