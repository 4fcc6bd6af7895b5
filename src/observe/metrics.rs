//! Every metric, by its name, in one place, and the text in which Prometheus reads them.
//!
//! Names, units and labels are part of what users rely on: dashboards and alerts name them
//! (docs/metrics.md, packaging/prometheus). Labels are names of meters, datasets, sources and the
//! like, of which there are few; a meter's number is never one of them. Ages and rates are left to
//! the reader of the metrics, who knows the time as well.

use std::fmt::{Display, Write as _};

/// What a metric's value does over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It goes up and down.
    Gauge,
    /// It only grows, and begins again at a start unless the database remembers it.
    Counter,
    /// Counts of observations up to some bounds, and their sum.
    Histogram,
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What its value does.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says, in a sentence.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($id:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(#[doc = $help] pub const $id: Metric =
            Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };)*
        /// All of them, in the order in which they are written.
        pub const ALL: &[Metric] = &[$($id),*];
    };
}

metrics! {
    BUILD_INFO = Gauge "linkyd_build_info" ["version"] "Always 1; the version is the label.";
    LATEST_INTERVAL_END = Gauge "linkyd_latest_interval_end_timestamp_seconds" ["meter", "dataset"]
        "End of the newest complete day.";
    LAST_SUCCESS = Gauge "linkyd_last_success_timestamp_seconds" ["dataset"] "When an answer was last stored.";
    DAYS = Gauge "linkyd_missing_days" ["dataset", "state"]
        "Days within the window that are not complete, by their state.";
    SERIES = Gauge "linkyd_series" ["dataset", "state"] "Series by their state.";
    LATE_SERIES = Gauge "linkyd_late_series" ["dataset"] "Series that are further behind than can be explained.";
    CONSENT_EXPIRY = Gauge "linkyd_consent_expiry_timestamp_seconds" ["meter"]
        "When the consent for a meter ends, where that is known.";
    CALLS_LEFT = Gauge "linkyd_backfill_calls_left" [] "Calls that are due and not made yet.";
    BACKFILL_ETA = Gauge "linkyd_backfill_eta_timestamp_seconds" []
        "When the last of the calls that are due can be made within the budget.";
    EXPIRING = Gauge "linkyd_expiring_days" ["dataset"]
        "Days that will have left the window before the budget lets them be fetched.";
    REQUESTS = Counter "linkyd_api_requests_total" ["source", "api", "dataset", "outcome"]
        "Calls by how they ended, counted by the database since its beginning.";
    REQUEST_SECONDS = Histogram "linkyd_api_request_duration_seconds" ["source", "api"]
        "How long answers took, counted by the database since its beginning.";
    BUDGET_LIMIT = Gauge "linkyd_api_budget_limit" ["source", "pool", "window"] "Calls that may be made in any such window.";
    BUDGET_REMAINING = Gauge "linkyd_api_budget_remaining" ["source", "pool", "window"] "Calls that may still be made now.";
    POINTS = Counter "linkyd_points_total" ["change"] "Values stored since the start: new ones and revised ones.";
    PASSES = Counter "linkyd_passes_total" ["result"] "Passes since the start.";
    PASS_RUNNING = Gauge "linkyd_pass_running" [] "Whether a pass is under way.";
    LAST_PASS = Gauge "linkyd_last_pass_timestamp_seconds" [] "When the last pass since the start ended.";
    NEXT_RUN = Gauge "linkyd_next_run_timestamp_seconds" [] "When the next pass is due.";
    CLOCK_JUMPS = Counter "linkyd_clock_jumps_total" [] "Jumps of the wall clock since the start.";
    DATABASE_UP = Gauge "linkyd_db_up" [] "Whether the database could be read for this answer.";
    DATABASE_SIZE = Gauge "linkyd_db_size_bytes" [] "Size of the database.";
    DATABASE_WAL = Gauge "linkyd_db_wal_bytes" [] "Size of its write-ahead log.";
    DATABASE_ERRORS = Counter "linkyd_db_errors_total" [] "Errors of the database since the start.";
    RELOAD_SUCCESSFUL = Gauge "linkyd_config_last_reload_successful" []
        "Whether the configuration, when it was last read, could be used.";
    RELOAD_TIME = Gauge "linkyd_config_last_reload_success_timestamp_seconds" []
        "When a configuration was last put in force.";
    CPU_SECONDS = Counter "process_cpu_seconds_total" [] "Processor time spent.";
    RESIDENT = Gauge "process_resident_memory_bytes" [] "Resident memory.";
    OPEN_FDS = Gauge "process_open_fds" [] "Open file descriptors.";
    START_TIME = Gauge "process_start_time_seconds" [] "When the process started.";
}

/// The media type of [`Exposition::finish`].
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Metrics as text, family by family.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
    open: Option<&'static str>,
}

impl Exposition {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value. `labels` are the values of the metric's labels, in their order. All values of
    /// one metric follow each other.
    pub fn put(&mut self, metric: &Metric, labels: &[&str], value: impl Display) {
        self.begin(metric);
        let named: Vec<(&str, &str)> = metric.labels.iter().copied().zip(labels.iter().copied()).collect();
        self.line(metric.name, "", &named, value);
    }

    /// Adds a histogram: bounds in seconds with the count up to each, the count and the sum.
    pub fn put_histogram(
        &mut self,
        metric: &Metric,
        labels: &[&str],
        buckets: &[(f64, i64)],
        count: i64,
        seconds: impl Display,
    ) {
        self.begin(metric);
        let named: Vec<(&str, &str)> = metric.labels.iter().copied().zip(labels.iter().copied()).collect();
        let bounds = buckets.iter().map(|(bound, up_to)| (bound.to_string(), *up_to));
        for (bound, up_to) in bounds.chain([("+Inf".to_owned(), count)]) {
            let mut named = named.clone();
            named.push(("le", &bound));
            self.line(metric.name, "_bucket", &named, up_to);
        }
        self.line(metric.name, "_sum", &named, seconds);
        self.line(metric.name, "_count", &named, count);
    }

    fn begin(&mut self, metric: &Metric) {
        if self.open == Some(metric.name) {
            return;
        }
        self.open = Some(metric.name);
        let kind = match metric.kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Histogram => "histogram",
        };
        let (name, help) = (metric.name, metric.help);
        let _infallible = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, ending: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(name);
        self.text.push_str(ending);
        if !labels.is_empty() {
            let labels: Vec<String> =
                labels.iter().map(|(name, value)| format!("{name}=\"{}\"", quote(value))).collect();
            let _infallible = write!(self.text, "{{{}}}", labels.join(","));
        }
        let _infallible = writeln!(self.text, " {value}");
    }

    /// The text.
    #[must_use]
    pub fn finish(self) -> String {
        self.text
    }
}

/// A label's value between its quotes.
fn quote(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in super::mask::digits(value).chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_family_by_family() {
        let mut all = Exposition::new();
        all.put(&SERIES, &["daily_consumption", "ok"], 2);
        all.put(&SERIES, &["daily \"x\"\n\\", "01234567890123"], 1);
        all.put(&PASS_RUNNING, &[], 0);
        all.put_histogram(&REQUEST_SECONDS, &["enedis", "2026"], &[(0.1, 1), (2.5, 3)], 4, 7.25);
        insta::assert_snapshot!(all.finish(), @r#"
        # HELP linkyd_series Series by their state.
        # TYPE linkyd_series gauge
        linkyd_series{dataset="daily_consumption",state="ok"} 2
        linkyd_series{dataset="daily \"x\"\n\\",state="…0123"} 1
        # HELP linkyd_pass_running Whether a pass is under way.
        # TYPE linkyd_pass_running gauge
        linkyd_pass_running 0
        # HELP linkyd_api_request_duration_seconds How long answers took, counted by the database since its beginning.
        # TYPE linkyd_api_request_duration_seconds histogram
        linkyd_api_request_duration_seconds_bucket{source="enedis",api="2026",le="0.1"} 1
        linkyd_api_request_duration_seconds_bucket{source="enedis",api="2026",le="2.5"} 3
        linkyd_api_request_duration_seconds_bucket{source="enedis",api="2026",le="+Inf"} 4
        linkyd_api_request_duration_seconds_sum{source="enedis",api="2026"} 7.25
        linkyd_api_request_duration_seconds_count{source="enedis",api="2026"} 4
        "#);
    }

    #[test]
    fn names_follow_the_conventions() {
        for metric in ALL {
            let name = metric.name;
            assert!(name.starts_with("linkyd_") || name.starts_with("process_"), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert_eq!(name.ends_with("_total"), metric.kind == Kind::Counter, "{name}");
            assert!(!name.contains("_ms") && !metric.labels.contains(&"prm"), "{name}");
            assert!(metric.help.ends_with('.') && !metric.help.contains(['\n', '\\']), "{name}");
            assert_eq!(ALL.iter().filter(|other| other.name == name).count(), 1, "{name}");
        }
    }
}
