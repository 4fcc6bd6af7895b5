//! Who searches for the first day that is served, and what the others do meanwhile: of a meter's
//! activation, and of a source's history (docs/planning.md).

use chrono::{DateTime, Utc};

use super::Knowledge;
use crate::domain::{Dataset, Day, Days, paris};
use crate::engine::ActiveSource;
use crate::plan::{Request, Series, Turn, search, want};

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

    /// Lets one series of each dataset search for the limit of the source's history, and keeps the
    /// others on the side that is known to be served.
    pub(super) fn search_history(
        &self,
        source: &ActiveSource,
        all: &mut [Series<'_>],
        request: Request,
        now: DateTime<Utc>,
    ) {
        for (dataset, learnt) in self.source.learnt.iter().filter(|(_, learnt)| learnt.history_short > 0) {
            let Some(served) = self.served_first(source, *dataset, now) else { continue };
            let known = self.accepted_first(source, *dataset, now);
            let mut searching = false;
            for series in all.iter_mut().filter(|s| s.dataset == *dataset && s.turn == Turn::Open) {
                let Some(window) = series.window else { continue };
                let accepted = known.unwrap_or(window.end()).min(window.end());
                let probe = search::history(learnt.history_short, served.plus(-1), accepted);
                let Some((start, unknown)) = probe.zip(Days::new(window.first(), accepted)) else { continue };
                if series.probe.is_some() {
                    continue;
                }
                let wanted = want::wanted(series, window, now.timestamp(), request);
                if !searching && wanted.iter().any(|w| unknown.contains(w.day)) && window.contains(start) {
                    searching = true;
                    series.probe = Some(start);
                } else {
                    series.window = Days::new(accepted, window.end());
                }
            }
        }
    }

    /// Lets one series of each direction search for the activation day, and keeps the others on
    /// the side that is known to be served.
    pub(super) fn search(&self, all: &mut [Series<'_>], request: Request, now: i64) {
        for ((meter, direction), known) in &self.activations {
            let Some(refused) = known.refused else { continue };
            let members: Vec<usize> = (0..all.len())
                .filter(|i| {
                    self.series.get(*i).is_some_and(|s| s.meter == *meter && s.dataset.direction() == *direction)
                })
                .collect();
            let mut searcher: Option<(i32, usize, Day)> = None;
            for index in &members {
                let Some(series) = all.get(*index) else { continue };
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
                let Some(series) = all.get_mut(index) else { continue };
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
