//! What passes and the database taught about when the next pass is due: the state behind
//! [`wake::next`], and the rules by which it changes.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use super::asleep::Known;
use crate::config::{Config, MeterConfig};
use crate::domain::{CustomerDataset, Dataset, DayState, Prm, SeriesState};
use crate::engine::Report;
use crate::plan::wake::{self, Policy, Seen, Wake};
use crate::store::{CustomerStatus, SeriesStatus};

/// Minutes until the next try after a first, second, … pass that ended in trouble; the last one
/// stays.
const TROUBLE_STEPS: [i64; 6] = [1, 2, 5, 15, 30, 60];

/// Seconds that a pause is given on top, so that it is over when the pass begins.
const AFTER_PAUSE: i64 = 5;

/// How a pass ended, as far as the next one depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Everything that could be asked for was.
    Well,
    /// A source or the budget said when to go on (seconds since 1970).
    Until(i64),
    /// Something went wrong, or work was left without a word about when to go on.
    InTrouble,
}

impl Ended {
    /// What a report comes to.
    #[must_use]
    pub fn of(report: &Report) -> Self {
        if report.left == 0 {
            return Self::Well;
        }
        let until = report.interruptions.iter().map(|i| i.until_ms).collect::<Option<Vec<_>>>();
        match until.unwrap_or_default().into_iter().min() {
            // Rounded up: a pass that begins in the last second of a pause ends at once.
            Some(until_ms) => Self::Until(until_ms.div_euclid(1_000) + 1),
            None => Self::InTrouble,
        }
    }
}

/// When passes are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agenda {
    policy: Policy,
    seen: Seen,
    troubles: usize,
}

impl Agenda {
    /// An agenda of which nothing is known: a pass is due at once.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { policy, seen: Seen::default(), troubles: 0 }
    }

    /// The agenda of a daemon that starts: what the database leads to, without any memory of earlier passes.
    ///
    /// Where something is left a pass is due at once, also in a pause: it may have new credentials, and if not it
    /// makes no call and learns how long the pause lasts.
    #[must_use]
    pub fn from_status(policy: Policy, status: &[SeriesStatus], customers: &[CustomerStatus], config: &Config) -> Self {
        let mut agenda = Self::new(policy);
        if !is_unfinished(status, config) && !is_unasked(customers, config) {
            agenda.seen.last_pass = status.iter().filter_map(|s| s.last_success_at).max();
        }
        agenda.learn(status);
        agenda
    }

    /// The agenda of a daemon that has slept since the passes of which the database tells, as it looks at `now`
    /// (calendar) from outside: where all that is left waits for something whose end is known, it sleeps until then.
    #[must_use]
    pub fn asleep(policy: Policy, known: &Known<'_>, now: DateTime<Utc>) -> Self {
        let mut agenda = Self::new(policy);
        if let Some(waits) = known.waits_for() {
            agenda.seen.last_pass = known.looked(&policy, now);
            // What a pass makes of the end that it is told ([`Ended::of`], [`Agenda::ended`]).
            agenda.seen.resume_at = waits.into_iter().min().map(|until| until + 1 + AFTER_PAUSE);
        }
        agenda.learn(known.series);
        agenda
    }

    /// When the next pass is due.
    #[must_use]
    pub fn next(&self, now: i64) -> Wake {
        wake::next(now, &self.seen, &self.policy)
    }

    /// Other hours, from now on.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// A pass that began at `began` has ended just now.
    pub fn ended(&mut self, began: i64, now: i64, ended: Ended) {
        self.seen.last_pass = Some(began);
        self.troubles = if ended == Ended::InTrouble { self.troubles + 1 } else { 0 };
        self.seen.resume_at = match ended {
            Ended::Well => None,
            Ended::Until(until) => Some(until.max(now) + AFTER_PAUSE),
            Ended::InTrouble => {
                let step = TROUBLE_STEPS.get(self.troubles - 1).or(TROUBLE_STEPS.last()).copied().unwrap_or(60);
                Some(now + 60 * step)
            }
        };
    }

    /// What kept the last pass from going on is over.
    pub fn resume(&mut self, now: i64) {
        self.seen.resume_at = self.seen.resume_at.map(|at| at.min(now));
    }

    /// Takes over which days the database says are due again; comes after [`Agenda::ended`].
    ///
    /// What was due before the last pass began and is due still was left by it on purpose, as a meter is
    /// that others were asked instead of: it must not hide what is due next.
    pub fn learn(&mut self, status: &[SeriesStatus]) {
        let asked = |s: &&SeriesStatus| !matches!(s.state, SeriesState::Suspended | SeriesState::NotOffered);
        let later = |due: &i64| self.seen.last_pass.is_none_or(|last| *due > last);
        self.seen.due_at = status.iter().filter(asked).filter_map(|s| s.next_try_at).filter(later).min();
    }
}

/// The series of the configuration that no pass has seen yet.
pub(crate) fn unseen<'c>(status: &[SeriesStatus], config: &'c Config) -> Vec<(&'c MeterConfig, Dataset)> {
    let seen: HashSet<(&Prm, Dataset)> = status.iter().map(|s| (&s.prm, s.dataset)).collect();
    let wanted = config.meters.iter().flat_map(|meter| meter.datasets.iter().map(move |dataset| (meter, *dataset)));
    wanted.filter(|(meter, dataset)| !seen.contains(&(&meter.prm, *dataset))).collect()
}

/// What the configuration wants kept of customers that no pass has seen yet.
pub(crate) fn unasked<'c>(customers: &[CustomerStatus], config: &'c Config) -> Vec<(&'c MeterConfig, CustomerDataset)> {
    let seen: HashSet<(&Prm, CustomerDataset)> = customers.iter().map(|one| (&one.prm, one.about)).collect();
    wanted_customers(config).filter(|(meter, about)| !seen.contains(&(&meter.prm, *about))).collect()
}

/// What is to be kept of customers.
pub(super) fn wanted_customers(config: &Config) -> impl Iterator<Item = (&MeterConfig, CustomerDataset)> {
    config.meters.iter().flat_map(|meter| meter.customer.iter().map(move |about| (meter, *about)))
}

/// Whether something about a customer is wanted that no pass has asked for yet, or that the last one had to leave.
fn is_unasked(customers: &[CustomerStatus], config: &Config) -> bool {
    let was_asked = |one: &&CustomerStatus| one.state != SeriesState::Waiting;
    let asked: HashSet<_> = customers.iter().filter(was_asked).map(|one| (&one.prm, one.about)).collect();
    wanted_customers(config).any(|(meter, about)| !asked.contains(&(&meter.prm, about)))
}

/// Whether there is something to be fetched that no refusal and no schedule holds back.
pub(super) fn is_unfinished(status: &[SeriesStatus], config: &Config) -> bool {
    !unseen(status, config).is_empty()
        || status.iter().any(|s| match s.state {
            SeriesState::Waiting | SeriesState::Failing => true,
            SeriesState::Ok => s.days.get(&DayState::Missing).is_some_and(|days| *days > 0),
            SeriesState::Suspended | SeriesState::NotOffered => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::report::{Interruption, Stop};
    use crate::plan::wake::Why;
    use chrono::NaiveTime;

    const NOW: i64 = 1_795_000_000;

    fn agenda() -> Agenda {
        let wall = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
        Agenda::new(Policy { wake_at: wall(8), retry_until: wall(20), jitter: 60 })
    }

    fn report(left: u64, until_ms: &[Option<i64>]) -> Report {
        let interruption = |until_ms: &Option<i64>| Interruption {
            source: "enedis".to_owned(),
            stop: Stop::Later,
            until_ms: *until_ms,
            message: String::new(),
            refusal: None,
            unserved: std::collections::BTreeSet::new(),
        };
        Report { left, interruptions: until_ms.iter().map(interruption).collect(), ..Report::default() }
    }

    #[test]
    fn a_pass_goes_on_when_the_first_source_may_be_asked_again() {
        assert_eq!(Ended::of(&report(0, &[])), Ended::Well);
        assert_eq!(Ended::of(&report(3, &[Some(90_500), Some(60_000)])), Ended::Until(61));
        // One of them does not say when: it may be over any moment.
        assert_eq!(Ended::of(&report(3, &[Some(90_500), None])), Ended::InTrouble);
        assert_eq!(Ended::of(&report(3, &[])), Ended::InTrouble);
        let mut agenda = agenda();
        agenda.ended(NOW, NOW + 10, Ended::Until(NOW + 600));
        assert_eq!(agenda.next(NOW + 10), Wake { at: NOW + 605, why: Why::Resume });
    }

    #[test]
    fn meters_that_a_pass_left_alone_do_not_hide_when_the_others_are_due() {
        let due = |prm: &str, at| SeriesStatus {
            prm: prm.parse().unwrap(),
            name: prm.to_owned(),
            source: "enedis".to_owned(),
            dataset: Dataset::DailyConsumption,
            state: SeriesState::Ok,
            window_end: None,
            newest_day: None,
            oldest_day: None,
            gaps: 0,
            days: std::collections::BTreeMap::new(),
            code: None,
            message: None,
            last_success_at: None,
            not_before: None,
            next_try_at: Some(at),
            consent_until: None,
        };
        // 2026-11-24, 08:10 in Paris.
        let morning = 1_795_504_200;
        let (nine, eleven) = (morning + 50 * 60, morning + 170 * 60);
        let mut agenda = agenda();
        agenda.ended(morning, morning + 10, Ended::Well);
        agenda.learn(&[due("12345678901234", nine)]);
        assert_eq!(agenda.next(morning + 10), Wake { at: nine + 60, why: Why::Late });
        // At nine others are asked; the first ones are due since nine and stay so.
        agenda.ended(nine + 60, nine + 70, Ended::Well);
        agenda.learn(&[due("12345678901234", nine), due("12345678901235", eleven)]);
        assert_eq!(agenda.next(nine + 70), Wake { at: eleven + 60, why: Why::Late });
    }

    #[test]
    fn a_pause_that_was_lifted_is_over() {
        let mut agenda = agenda();
        agenda.ended(NOW, NOW + 10, Ended::Until(NOW + 20_000));
        agenda.resume(NOW + 60);
        assert_eq!(agenda.next(NOW + 60), Wake { at: NOW + 60, why: Why::Resume });
        // Where nothing was held up, nothing begins.
        agenda.ended(NOW + 60, NOW + 70, Ended::Well);
        agenda.resume(NOW + 120);
        assert!(agenda.next(NOW + 120).at > NOW + 120);
    }

    #[test]
    fn trouble_is_tried_again_at_widening_steps_and_forgotten_when_it_is_over() {
        let mut agenda = agenda();
        let mut now = NOW;
        for minutes in [1, 2, 5, 15, 30, 60, 60, 60] {
            agenda.ended(now, now + 1, Ended::InTrouble);
            let wake = agenda.next(now + 1);
            assert!(wake.why != Why::Resume || wake.at == now + 1 + 60 * minutes, "{minutes}");
            now += 1 + 60 * minutes;
        }
        agenda.ended(now, now + 1, Ended::Well);
        assert!(matches!(agenda.next(now + 1).why, Why::Daily));
        agenda.ended(now, now + 1, Ended::InTrouble);
        assert_eq!(agenda.next(now + 1), Wake { at: now + 61, why: Why::Resume });
    }
}
