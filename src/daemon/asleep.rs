//! What the database tells of a daemon that sleeps, to whoever looks at it from outside: what it has left, and until
//! when each part of that waits. What the daemon itself remembers is in its [`Agenda`](super::agenda::Agenda).

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use super::agenda::{unasked, unseen, wanted_customers};
use crate::config::Config;
use crate::domain::{DayState, SeriesState};
use crate::engine::knowledge::published_end;
use crate::plan::wake::{self, Policy};
use crate::source::{Reaction, catalogue};
use crate::store::{CustomerStatus, SeriesStatus};

/// What the database says about the passes of a daemon.
#[derive(Debug, Clone, Copy)]
pub struct Known<'k> {
    /// How each series stands.
    pub series: &'k [SeriesStatus],
    /// How what is kept of customers stands.
    pub customers: &'k [CustomerStatus],
    /// The sources that rest, by their names, and until when (calendar).
    pub rests: &'k [(&'k str, i64)],
    /// The daemon's configuration.
    pub config: &'k Config,
}

impl Known<'_> {
    /// Until when each thing waits that a pass has left (calendar); `None` where something is left without a word
    /// about that, as it is while a pass is under way.
    pub(super) fn waits_for(&self) -> Option<Vec<i64>> {
        if !unseen(self.series, self.config).is_empty() || !unasked(self.customers, self.config).is_empty() {
            return None;
        }
        let of_series = self.series.iter().map(|s| match s.state {
            SeriesState::Waiting => s.not_before.ok_or(NoWord).map(Some),
            SeriesState::Failing => Ok(self.refused(&s.source, s.code.as_deref())),
            SeriesState::Ok => {
                let missing = s.days.get(&DayState::Missing).copied().unwrap_or_default();
                // Fewer new days than are asked for at a time are waited for like the next ones.
                if missing < i64::from(self.config.schedule.every(s.dataset)).max(1) { Ok(None) } else { Err(NoWord) }
            }
            SeriesState::Suspended | SeriesState::NotOffered => Ok(None),
        });
        let wanted: HashSet<_> = wanted_customers(self.config).map(|(meter, about)| (&meter.prm, about)).collect();
        let of_customers =
            self.customers.iter().filter(|one| wanted.contains(&(&one.prm, one.about))).map(|one| match one.state {
                SeriesState::Waiting => one.next_try_at.ok_or(NoWord).map(Some),
                SeriesState::Failing => Ok(self.refused(&one.source, one.code.as_deref())),
                SeriesState::Ok | SeriesState::Suspended | SeriesState::NotOffered => Ok(None),
            });
        let waits: Result<Vec<Option<i64>>, NoWord> = of_series.chain(of_customers).collect();
        waits.ok().map(|waits| waits.into_iter().flatten().collect())
    }

    /// Until when the source rests of something that was left because it refuses the application. What fails for
    /// another reason was set aside by the pass, and comes with the day's next one.
    fn refused(&self, source: &str, code: Option<&str>) -> Option<i64> {
        let reaction = code.and_then(catalogue::reaction_of)?;
        let whole = matches!(reaction, Reaction::StopApp { .. } | Reaction::Reauth | Reaction::Ban);
        self.rests.iter().find(|(name, _)| whole && *name == source).map(|(_, until)| *until)
    }

    /// When the last pass was, as far as that can be told: an answer tells of one, and so does a window that ends
    /// where it can end now, whatever the answers were.
    pub(super) fn looked(&self, policy: &Policy, now: DateTime<Utc>) -> Option<i64> {
        // What a wrong clock has written is not believed, as in [`wake::next`].
        let past = |at: &i64| *at <= now.timestamp();
        let answered = self.series.iter().filter_map(|s| s.last_success_at).filter(past).max();
        let mut ends = self.series.iter().filter_map(|s| s.window_end).peekable();
        let looked = ends.peek().is_some() && ends.all(|end| end >= published_end(now));
        answered.max(looked.then(|| wake::slot_before(now.timestamp(), policy)))
    }
}

/// Nobody knows until when.
struct NoWord;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, MeterConfig};
    use crate::daemon::agenda::Agenda;
    use crate::domain::{CustomerDataset, Dataset};
    use crate::plan::wake::Why;
    use chrono::NaiveTime;

    fn waiting(config: &Config, change: impl Fn(&mut SeriesStatus)) -> Vec<SeriesStatus> {
        let all = config.meters.iter().flat_map(|meter| meter.datasets.iter().map(move |dataset| (meter, *dataset)));
        let status = |(meter, dataset): (&MeterConfig, Dataset)| {
            let mut one = SeriesStatus {
                prm: meter.prm.clone(),
                name: meter.name.clone(),
                source: "enedis".to_owned(),
                dataset,
                state: SeriesState::Ok,
                window_end: Some("2026-11-24".parse().unwrap()),
                newest_day: None,
                oldest_day: None,
                gaps: 1,
                days: std::collections::BTreeMap::from([(DayState::Missing, 40)]),
                code: None,
                message: None,
                last_success_at: None,
                not_before: None,
                next_try_at: None,
                consent_until: None,
            };
            change(&mut one);
            one
        };
        all.map(status).collect()
    }

    fn customer(state: SeriesState, next_try_at: Option<i64>) -> CustomerStatus {
        CustomerStatus {
            prm: "01234567890123".parse().unwrap(),
            name: "Maison".to_owned(),
            source: "enedis".to_owned(),
            about: CustomerDataset::Contract,
            state,
            code: None,
            message: None,
            last_success_at: None,
            next_try_at,
        }
    }

    #[test]
    fn who_looks_at_a_sleeping_daemon_reads_until_when_it_sleeps() {
        let text = "[source.enedis]\nclient_id = \"x\"\n[[meter]]\nprm = \"01234567890123\"\n\
                    datasets = [\"consumption_load_curve\", \"daily_consumption\", \"contract\"]\n";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        let config = config::load(Some(&path), &config::Environment::default(), config::Secrets::Skip).unwrap().config;
        // 2026-11-24, 10:10 in Paris: a pass was at eight, and a pause lasts until noon.
        let now = DateTime::from_timestamp(1_795_511_400, 0).unwrap();
        let noon = 1_795_518_000;
        let wall = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
        let policy = Policy { wake_at: wall(8), retry_until: wall(20), jitter: 60 };
        let next = |series: &[SeriesStatus], customers: &[CustomerStatus], rests: &[(&str, i64)]| {
            let known = Known { series, customers, rests, config: &config };
            let wake = Agenda::asleep(policy, &known, now).next(now.timestamp());
            (wake.at, wake.why)
        };
        let at_once = (now.timestamp(), Why::Start);
        let at_noon = (noon + 6, Why::Resume);
        let until =
            |until: i64| waiting(&config, move |s| (s.state, s.not_before) = (SeriesState::Waiting, Some(until)));
        let contract = [customer(SeriesState::Waiting, Some(noon + 60))];
        assert_eq!(next(&until(noon), &contract, &[]), at_noon);
        assert_eq!(next(&until(noon + 120), &contract, &[]), (noon + 66, Why::Resume));
        // Of one of them nothing is known, be it that no pass has seen it.
        let mut one_without = until(noon);
        one_without[1].not_before = None;
        assert_eq!(next(&one_without, &contract, &[]), at_once);
        assert_eq!(next(&until(noon)[..1], &contract, &[]), at_once);
        assert_eq!(next(&until(noon), &[], &[]), at_once);
        assert_eq!(next(&until(noon), &[customer(SeriesState::Waiting, None)], &[]), at_once);
        // A pass is under way.
        assert_eq!(next(&waiting(&config, |_| ()), &contract, &[]), at_once);
        // What the application is refused waits for the rest of its source; what merely fails, for tomorrow.
        let failing = |code: &'static str| {
            waiting(&config, move |s| (s.state, s.code) = (SeriesState::Failing, Some(code.to_owned())))
        };
        let done = [customer(SeriesState::Ok, None)];
        let credentials = catalogue::credential_codes()[0];
        assert_eq!(next(&failing(credentials), &done, &[("enedis", noon)]), at_noon);
        assert_eq!(next(&failing("500"), &done, &[("enedis", noon)]).1, Why::Daily);
        // Who starts in a pause looks once: he may have new credentials.
        let starts = Agenda::from_status(policy, &until(noon), &contract, &config).next(now.timestamp());
        assert_eq!((starts.at, starts.why), at_once);
    }
}
