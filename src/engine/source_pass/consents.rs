//! Consents during a pass: how fresh they are, and once a day whether Enedis still lists them.
//!
//! The list of subscribed services tells the end of a consent, and that one was withdrawn, without asking for
//! any measure. The same list names the meter of a consent whose journey ended before Enedis had listed it: that is
//! taken up here too. It is looked at after everything that a pass is for, and only with calls that are left: where
//! none is, nothing is said and nobody waits. What is suspended is decided by refusals alone.

use std::collections::{BTreeMap, HashMap};

use chrono::DateTime;

use super::{Flight, SourcePass};
use crate::domain::services::{Granted, Standing};
use crate::domain::{Api, Day, Prm, paris};
use crate::engine::consents::{self, Looked, Terms};
use crate::source::catalogue::{self, Own};
use crate::source::{Pool, Reaction, Refusal};
use crate::store::{Authorisation, EndKnown, Journey, StoreError};

/// Authorisations that one pass looks at, at the most; those that were not looked at for longest come first.
const AT_ONCE: usize = 100;

/// Seconds for which the pass's own token is lent: it may be used for much longer.
const LENT: std::time::Duration = std::time::Duration::from_mins(5);

impl SourcePass<'_> {
    /// Reads what is known of the source's consents.
    pub(super) async fn read_consents(&mut self) -> Result<(), StoreError> {
        let own = |one: &Authorisation| one.source == self.active.source.name();
        let known = self.engine.store.authorisations().await?.into_iter().filter(own);
        self.consents = known.map(|one| (one.prm.clone(), one)).collect::<BTreeMap<Prm, Authorisation>>();
        Ok(())
    }

    /// A refusal as it is to be seen while the meter's consent is fresh: a passing fault, for some days.
    pub(super) fn while_fresh(&self, flight: Flight, refusal: Refusal) -> Refusal {
        let prm = self.prm_of(flight.call);
        let granted_at = prm.and_then(|prm| self.consents.get(&prm)).map(|known| known.granted_at);
        let settles = granted_at.is_some_and(|at| consents::settles(&refusal.code, self.machine().timestamp() - at));
        if !settles {
            return refusal;
        }
        let said = if refusal.excerpt.is_empty() {
            refusal.code.clone()
        } else {
            format!("{}: {}", refusal.code, refusal.excerpt)
        };
        catalogue::own(Own::ConsentSettling, refusal.status, &said)
    }

    /// Asks, once a day for each authorisation, whether it still stands and until when.
    pub(super) async fn check_consents(&mut self) -> Result<(), StoreError> {
        if self.report.stopped || self.interruption.is_some() || !self.queue.is_empty() {
            return Ok(());
        }
        let today = paris::today(self.machine());
        let asked = |one: &Authorisation| {
            let at = one.checked_at.and_then(|at| DateTime::from_timestamp(at, 0));
            at.is_some_and(|at| paris::today(at) >= today)
        };
        let taking_part: HashMap<&Prm, &str> = (0..self.knowledge.series.len())
            .filter(|index| self.chosen.series.as_ref().is_none_or(|chosen| chosen.contains(index)))
            .filter_map(|index| self.knowledge.series.get(index).map(|series| (&series.prm, series.name.as_str())))
            .collect();
        let mut due: Vec<(Authorisation, String)> = self
            .consents
            .values()
            .filter(|one| one.number.is_some() && !asked(one))
            .filter_map(|one| Some((one.clone(), (*taking_part.get(&one.prm)?).to_owned())))
            .collect();
        due.sort_by_key(|(one, _)| one.checked_at);
        due.truncate(AT_ONCE);
        let mut terms = Terms {
            keep: self.keep_free(Pool::Live),
            pace: std::mem::take(&mut self.pace),
            lateness: self.lateness,
            took: self.took,
            held: self.tokens.in_hand().map(|token| (token, self.engine.clock.monotonic() + LENT)),
            ..Terms::new(self.knowledge.source.clone(), self.stop.clone())
        };
        if !self.take_up_journeys(&mut terms).await? {
            return Ok(());
        }
        let mut known = Vec::new();
        let mut due = due.into_iter();
        while let Some((one, name)) = due.next() {
            let Some(number) = one.number else { continue };
            let looked = self.engine.look_up_among(self.active, number, &mut terms).await?;
            if matches!(looked, Looked::NotMade { .. }) {
                break;
            }
            let for_all = matches!(&looked, Looked::Refused(refusal) if says_it_of_all(refusal));
            known.push(self.seen_as(one, &name, looked));
            if for_all {
                let now = self.machine().timestamp();
                known.extend(due.by_ref().map(|(one, _)| Authorisation { checked_at: Some(now), ..one }));
            }
        }
        if known.is_empty() {
            return Ok(());
        }
        self.engine.store.note_looks(&known).await?;
        // The ends that follow from it are known from now on.
        self.engine.store.set_up(&self.engine.setup()).await?;
        Ok(())
    }

    /// Looks for the meters of authorisations that journeys brought and that were not listed then; whether more looks
    /// may be made.
    async fn take_up_journeys(&mut self, terms: &mut Terms) -> Result<bool, StoreError> {
        if self.chosen.series.is_some() {
            return Ok(true);
        }
        let now = self.machine();
        let name = self.active.source.name();
        let recent = |journey: &Journey| {
            journey.source == name && now.timestamp() - journey.answered_at.unwrap_or_default() < consents::TAKEN_UP_FOR
        };
        let open = self.engine.store.unfinished_journeys().await?;
        for journey in open.into_iter().filter(recent).take(AT_ONCE) {
            let (Some(number), Some(answered_at)) = (journey.number, journey.answered_at) else { continue };
            let given = match self.engine.look_up_among(self.active, number, terms).await? {
                Looked::NotMade { .. } => return Ok(false),
                Looked::Refused(refusal) => {
                    tracing::info!(
                        source = name,
                        code = %refusal.code,
                        "the meter of authorisation {number} could not be asked for: {}",
                        refusal.advice
                    );
                    if says_it_of_all(&refusal) {
                        return Ok(false);
                    }
                    continue;
                }
                Looked::Standing(Standing::Granted(granted)) => {
                    let answered = DateTime::from_timestamp(answered_at, 0).unwrap_or(now);
                    let reckoned = consents::reckoned(&journey, answered);
                    let known = consents::of_services(name, number, &granted, reckoned, now);
                    vec![Authorisation { granted_at: answered_at, ..known }]
                }
                Looked::Standing(Standing::Ended) => Vec::new(),
                Looked::Standing(_) => continue,
            };
            self.engine.store.finish_journey(&journey.state, &given, now.timestamp()).await?;
            if given.is_empty() {
                tracing::warn!(source = name, "Enedis lists authorisation {number} as over or withdrawn");
            }
            let older = |one: &Authorisation| {
                self.consents.get(&one.prm).is_some_and(|known| known.granted_at > one.granted_at)
            };
            let given: Vec<Authorisation> = given.into_iter().filter(|one| !older(one)).collect();
            self.engine.granted(&given).await?;
            for one in given {
                let meter = one.prm.to_string();
                tracing::info!(source = name, %meter, "Enedis lists the meter of authorisation {number} now; it is stored");
                self.consents.insert(one.prm.clone(), one);
            }
        }
        Ok(true)
    }

    /// What is known of a consent after a look.
    fn seen_as(&self, before: Authorisation, name: &str, looked: Looked) -> Authorisation {
        let now = self.machine().timestamp();
        let mut seen = Authorisation { checked_at: Some(now), ..before };
        match looked {
            Looked::Standing(Standing::Granted(granted)) if granted.prm == seen.prm => {
                renew(&mut seen, &granted);
            }
            // A number that an older consent left says nothing of a newer one that came without.
            Looked::Standing(Standing::Ended) if seen.api == Api::V2026 => {
                if !seen.ended {
                    tracing::warn!(
                        meter = name,
                        "Enedis lists the consent as over or withdrawn; give it again with `linkyd authorize`"
                    );
                    seen.until = Some(seen.until.map_or(now, |until| until.min(now)));
                }
                seen.ended = true;
            }
            // An empty list proves nothing; several meters, or another one, are no word about this one.
            Looked::Standing(_) | Looked::NotMade { .. } => {}
            Looked::Refused(refusal) => {
                tracing::info!(
                    meter = name,
                    code = %refusal.code,
                    "whether the consent still stands could not be asked: {}",
                    refusal.advice
                );
            }
        }
        seen
    }
}

/// Whether a refusal of one look is the answer to all others of the day.
fn says_it_of_all(refusal: &Refusal) -> bool {
    matches!(refusal.reaction, Reaction::StopApi | Reaction::StopApp { .. } | Reaction::Reauth)
        || catalogue::is_unreached(&refusal.code)
}

/// Takes over what Enedis lists of a consent that stands.
fn renew(seen: &mut Authorisation, granted: &Granted) {
    if let Some(until) = granted.until.map(Day::next).map(paris::start_of) {
        seen.until = Some(until);
        seen.learnt = EndKnown::Services;
    } else if seen.ended {
        // What is known is when it was found to be over, and that is over as well.
        seen.until = None;
        seen.learnt = EndKnown::Duration;
    }
    seen.ended = false;
    seen.covers = consents::covered(granted);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consent_that_stands_again_is_not_over_for_want_of_an_end() {
        let prm: Prm = "01234567890123".parse().unwrap();
        let over = |ended| Authorisation {
            prm: prm.clone(),
            source: "enedis".to_owned(),
            api: Api::V2026,
            number: Some(1),
            granted_at: 1_000,
            until: Some(2_000),
            learnt: EndKnown::Services,
            ended,
            checked_at: None,
            covers: Vec::new(),
        };
        for (ended, until) in [(true, None), (false, Some(2_000))] {
            let mut seen = over(ended);
            renew(&mut seen, &Granted { prm: prm.clone(), measures: Vec::new(), until: None });
            assert_eq!((seen.ended, seen.until), (false, until));
        }
    }
}
