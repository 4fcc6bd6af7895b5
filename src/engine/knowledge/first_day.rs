//! Who searches for the first day that is served, and what the others do meanwhile: of a meter's
//! activation, and of a source's history (docs/planning.md).

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::{Knowledge, published_end};
use crate::domain::{Dataset, Day, Days, Direction, paris};
use crate::engine::ActiveSource;
use crate::plan::{Request, Series, Turn, search, want};
use crate::store::MeterId;

impl Knowledge {
    /// The oldest first day that the source is known to take for a dataset today, as calls of other
    /// days show: the limit moves on with the calendar.
    #[must_use]
    pub fn accepted_first(&self, source: &ActiveSource, dataset: Dataset, now: DateTime<Utc>) -> Option<Day> {
        let reach = source.source.reach(dataset)?;
        let short = self.learnt(dataset).history_short;
        let answered = self.oldest_answered.get(&dataset).into_iter().flatten();
        let ages = answered.map(|(at, first)| first.since(reach.first_day(paris::day_of(*at))));
        let oldest = ages.filter(|age| *age >= short).min()?;
        Some(reach.first_day(paris::today(now)).plus(oldest))
    }

    /// Whether it was looked up how far back the source answered for a dataset.
    #[must_use]
    pub fn knows_answered(&self, dataset: Dataset) -> bool {
        self.oldest_answered.contains_key(&dataset)
    }

    /// Takes over how far back the source answered for a dataset.
    pub fn looked_up(&mut self, dataset: Dataset, answered: Vec<(i64, Day)>) {
        self.oldest_answered.insert(dataset, answered);
    }

    /// What is to be found out about the source's history.
    pub(super) fn histories(&self, source: &ActiveSource, now: DateTime<Utc>) -> Histories {
        let short = self.source.learnt.iter().filter(|(_, learnt)| learnt.history_short > 0);
        let all = short.filter_map(|(dataset, learnt)| {
            let served = self.served_first(source, *dataset, now)?;
            let accepted = self.accepted_first(source, *dataset, now).unwrap_or_else(|| published_end(now));
            let accepted = accepted.min(published_end(now));
            let probe = search::history(learnt.history_short, served.plus(-1), accepted)?;
            Some((*dataset, History { probe, accepted, searching: false }))
        });
        Histories(all.collect())
    }

    /// Lets one series of each direction search for the activation day, and keeps the others on
    /// the side that is known to be served.
    pub(super) fn search(&self, meter: MeterId, all: &mut [(usize, Series<'_>)], request: Request, now: i64) {
        for direction in Direction::ALL {
            let known = self.activation(meter, direction);
            let Some(refused) = known.refused else { continue };
            let members: Vec<usize> = (0..all.len())
                .filter(|i| all.get(*i).is_some_and(|(_, s)| s.dataset.direction() == direction))
                .collect();
            let mut searcher: Option<(i32, usize, Day)> = None;
            for index in &members {
                let Some((_, series)) = all.get(*index) else { continue };
                let Some(window) = series.window else { continue };
                let accepted = known.accepted.unwrap_or(window.end()).min(window.end());
                let refused = refused.max(window.first().plus(-1));
                let Some(start) = search::probe(refused, accepted, known.refusals) else { continue };
                let unknown = Days::new(window.first(), accepted);
                let wanted = unknown.is_some_and(|days| {
                    want::wanted(series, window, now, request).iter().any(|w| days.contains(w.day))
                });
                if series.turn == Turn::Open && wanted && searcher.is_none_or(|(longest, ..)| series.max_days > longest)
                {
                    searcher = Some((series.max_days, *index, start));
                }
            }
            for index in members {
                let Some((_, series)) = all.get_mut(index) else { continue };
                match searcher {
                    Some((_, chosen, start)) if chosen == index => series.probe = Some(start),
                    _ => {
                        let served = series.window.and_then(|window| {
                            let unknown = search::probe(
                                refused.max(window.first().plus(-1)),
                                known.accepted.unwrap_or(window.end()),
                                known.refusals,
                            );
                            let first = if unknown.is_some() { known.accepted? } else { window.first() };
                            Days::new(window.first().max(first), window.end())
                        });
                        // A probe asks for the newest days, whatever is known.
                        if series.turn == Turn::Open {
                            series.window = served;
                        }
                    }
                }
            }
        }
    }
}

/// A limit of a source's history that is searched for.
#[derive(Debug, Clone, Copy)]
struct History {
    /// The first day of the next call of the search.
    probe: Day,
    /// From here on the days are known to be served.
    accepted: Day,
    /// Whether a series searches.
    searching: bool,
}

/// The limits of the source's history that are searched for, by dataset.
#[derive(Debug)]
pub(super) struct Histories(BTreeMap<Dataset, History>);

impl Histories {
    /// Whether any is.
    pub(super) fn are_searched(&self) -> bool {
        !self.0.is_empty()
    }

    /// Lets one series of each dataset search, and keeps the others on the side that is known to be
    /// served.
    pub(super) fn search(&mut self, all: &mut [(usize, Series<'_>)], request: Request, now: i64) {
        for (_, series) in all.iter_mut().filter(|(_, s)| s.turn == Turn::Open && s.probe.is_none()) {
            let Some(history) = self.0.get_mut(&series.dataset) else { continue };
            let Some(window) = series.window else { continue };
            let Some(unknown) = Days::new(window.first(), history.accepted) else { continue };
            let wanted = want::wanted(series, window, now, request);
            let wants = wanted.iter().any(|w| unknown.contains(w.day));
            if !history.searching && wants && window.contains(history.probe) {
                history.searching = true;
                series.probe = Some(history.probe);
            } else {
                series.window = Days::new(history.accepted, window.end());
            }
        }
    }
}
