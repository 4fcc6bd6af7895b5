//! What is known of consents: which meters credentials cover, and until when.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::{Finding, Verdict};
use crate::cli::sources::{self, Term};
use crate::config::MeterConfig;
use crate::domain::{Api, CustomerDataset, Prm, SeriesState};
use crate::engine::consents::is_listed;
use crate::exit::Exit;
use crate::source::{CustomerCall, Grant, Source, catalogue};
use crate::store::{Authorisation, ClosedCall, SeriesStatus, UnclearHours};

/// What credentials of a source say: their end, and the meters that they do not name. `meters` are
/// those that are asked for from this source.
pub(super) fn of_grant(source: &str, grant: &Grant, meters: &[&MeterConfig], now: DateTime<Utc>) -> Vec<Finding> {
    let mut found = Vec::new();
    let finding = |verdict, message: String| Finding::new("consent", verdict, message).of(source);
    if let Some(until) = grant.until {
        let said = sources::ends("token", until, now);
        let renew = "give the consent again and put the new token in the place of the old one";
        found.push(match Term::of(until, now) {
            Term::Over => finding(Verdict::Problem(Exit::CredentialsRefused), format!("{said}: {renew}")),
            Term::Soon => finding(Verdict::Warning, format!("{said}: {renew}")),
            Term::Far => finding(Verdict::Well, said),
        });
    }
    let Some(named) = &grant.prms else { return found };
    let lacking: Vec<_> = meters.iter().filter(|meter| !named.contains(&meter.prm)).collect();
    for meter in &lacking {
        let message = format!(
            "meter {} ({}) is not among those that the credentials are for ({}); give the consent for it, or take the \
             source from its sources",
            meter.name,
            meter.prm,
            masked(named)
        );
        found.push(finding(Verdict::Problem(Exit::Failed), message));
    }
    if lacking.is_empty() {
        let theirs: Vec<&str> = meters.iter().map(|meter| meter.name.as_str()).collect();
        let message = if theirs.is_empty() {
            format!("no meter is asked for; the credentials are for {}", masked(named))
        } else {
            format!("the credentials are for {}", theirs.join(", "))
        };
        found.push(finding(Verdict::Well, message));
    }
    found
}

fn masked(prms: &[Prm]) -> String {
    if prms.is_empty() {
        return "none".to_owned();
    }
    prms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// What is known of consents that were given on Enedis' page, and of which meters of these sources that is nothing.
pub(super) fn of_authorisations<'s>(
    known: &[Authorisation],
    (meters, series): (&[MeterConfig], &[SeriesStatus]),
    sources: impl Iterator<Item = &'s dyn Source>,
    now: DateTime<Utc>,
) -> Vec<Finding> {
    let direct: Vec<&str> = sources.filter(|source| source.is_direct()).map(Source::name).collect();
    // Also from a token, which may be another source's.
    let ends = series.iter().filter(|one| one.consent_until.is_some()).map(|one| &one.prm);
    let ends = ends.chain(known.iter().filter(|one| one.until.is_some()).map(|one| &one.prm)).collect();
    of_journeys(known, meters, now).into_iter().chain(of_unknown_ends(&ends, meters, &direct)).collect()
}

/// What is known of consents that were given on Enedis' page: of each configured meter.
pub(super) fn of_journeys(known: &[Authorisation], meters: &[MeterConfig], now: DateTime<Utc>) -> Vec<Finding> {
    let mut found = Vec::new();
    for meter in meters {
        for one in known.iter().filter(|one| one.prm == meter.prm && meter.sources.contains(&one.source)) {
            let finding = |verdict, message: String| Finding::new("consent", verdict, message).of(&meter.name);
            let again = "`linkyd authorize` asks for it anew";
            let Some(until) = one.until.and_then(|until| DateTime::from_timestamp(until, 0)) else { continue };
            let said = sources::ends("consent", until, now);
            found.push(match Term::of(until, now) {
                _ if one.ended => {
                    let message = format!("Enedis lists the consent as over or withdrawn: {again}");
                    finding(Verdict::Problem(Exit::Failed), message)
                }
                Term::Over => finding(Verdict::Problem(Exit::Failed), format!("{said}: {again}")),
                Term::Soon => finding(Verdict::Warning, format!("{said}: {again}")),
                Term::Far => finding(Verdict::Well, said),
            });
            let lacks: Vec<&str> = meter
                .datasets
                .iter()
                .filter(|dataset| is_listed(**dataset) && !one.covers.is_empty() && !one.covers.contains(dataset))
                .map(|dataset| dataset.name())
                .collect();
            if !lacks.is_empty() {
                let message = format!(
                    "the consent does not cover {}; look at what is shared in the customer account",
                    lacks.join(", ")
                );
                found.push(finding(Verdict::Warning, message));
            }
        }
    }
    found
}

/// A few names, and how many more there are.
fn some_of<T: AsRef<str>>(names: &[T]) -> String {
    const NAMED: usize = 5;
    let first = names.iter().take(NAMED).map(AsRef::as_ref).collect::<Vec<&str>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// The meters that Enedis itself is asked for and of whose consent no end is `known`: of that nobody can be warned.
/// `direct` are the sources that are Enedis.
pub(super) fn of_unknown_ends(known: &BTreeSet<&Prm>, meters: &[MeterConfig], direct: &[&str]) -> Option<Finding> {
    let of_enedis = |meter: &&MeterConfig| meter.sources.iter().any(|name| direct.contains(&name.as_str()));
    let open: Vec<&str> =
        meters.iter().filter(of_enedis).filter(|m| !known.contains(&m.prm)).map(|m| m.name.as_str()).collect();
    if open.is_empty() {
        return None;
    }
    let names = some_of(&open);
    let message = format!(
        "until when the consent holds is not known for {names}, so nobody is warned before it ends; a consent that is \
         given through `linkyd authorize` is kept with its end"
    );
    Some(Finding::new("consent", Verdict::Well, message))
}

/// The contracts of whose off-peak hours nobody knows when they are. Their text is about a tariff and no person.
pub(super) fn of_hours(unclear: &[UnclearHours]) -> Vec<Finding> {
    let line = |one: &UnclearHours| {
        let since = one.since;
        let message = if one.text.trim().is_empty() {
            format!(
                "since {since} the tariff has off-peak hours, or may have, and Enedis' text about them is empty: no \
                 interval gets a class"
            )
        } else {
            let text: String = one.text.chars().take(120).collect();
            format!(
                "since {since} Enedis' text about off-peak hours is not understood: no interval gets a class. It is \
                 {text:?}; docs/off-peak.md tells what is, please report it"
            )
        };
        Finding::new("off-peak", Verdict::Warning, message).of(&one.name)
    };
    unclear.iter().map(line).collect()
}

/// The APIs of Enedis to which the application of a source has no subscription, as passes found out: each once,
/// with the datasets that lack it: of measures, and by the paths that are closed, of customers.
pub(super) fn of_subscriptions(source: &dyn Source, series: &[SeriesStatus], closed: &[ClosedCall]) -> Vec<Finding> {
    let mut lacking: BTreeMap<(&str, Api), BTreeSet<&str>> = BTreeMap::new();
    let closed = |call: &CustomerCall| {
        closed
            .iter()
            .any(|one| one.source == source.name() && one.path == call.path() && catalogue::is_subscription(&one.code))
    };
    for about in CustomerDataset::ALL {
        for api in source.customer_apis() {
            for call in source.customer_calls(about, *api).iter().filter(|call| closed(call)) {
                if let Some(name) = call.path().split('/').find(|part| !part.is_empty()) {
                    lacking.entry((name, *api)).or_default().insert(about.name());
                }
            }
        }
    }
    for one in series.iter().filter(|one| one.source == source.name()) {
        let refused = one.code.as_deref().is_some_and(catalogue::is_subscription);
        // The API that was asked last is the other one only where the preferred one was refused as well.
        let Some(api) = source.apis(one.dataset).first().copied().filter(|_| refused) else { continue };
        if let Some(name) = source.subscription(api, one.dataset) {
            lacking.entry((name, api)).or_default().insert(one.dataset.name());
        }
    }
    // Parts of an API may be closed by themselves.
    let others_come = |name: &str, api: Api| {
        series.iter().any(|one| {
            let well = one.last_success_at.is_some() && !one.code.as_deref().is_some_and(catalogue::is_subscription);
            let same =
                source.apis(one.dataset).first() == Some(&api) && source.subscription(api, one.dataset) == Some(name);
            one.source == source.name() && well && same
        })
    };
    let found = lacking.into_iter().map(|((name, api), datasets)| {
        let partly = others_come(name, api);
        let datasets = datasets.into_iter().collect::<Vec<&str>>().join(", ");
        let message = if partly {
            format!(
                "the application is refused {datasets}, although other data comes from {name} (API {api}); look on Enedis' \
                 DataHub for what the subscription covers"
            )
        } else {
            format!(
                "the application has no active subscription to {name} (API {api}), needed for {datasets}; subscribe to it \
                 on Enedis' DataHub"
            )
        };
        Finding::new("subscription", Verdict::Warning, message).of(source.name())
    });
    found.collect()
}

/// The series that fail, each trouble once: a pass goes on with them by itself, but nothing comes meanwhile.
pub(super) fn of_failures(series: &[SeriesStatus]) -> Vec<Finding> {
    let mut troubles: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for one in series.iter().filter(|one| one.state == SeriesState::Failing) {
        let trouble = (one.code.as_deref().unwrap_or_default(), one.message.as_deref().unwrap_or_default());
        troubles.entry(trouble).or_default().push(format!("{} {}", one.name, one.dataset));
    }
    let line = |((code, message), who): ((&str, &str), Vec<String>)| {
        let names = some_of(&who);
        Finding::new("series", Verdict::Warning, format!("{names}: failing ({code}): {message}"))
    };
    troubles.into_iter().map(line).collect()
}

/// What the last pass found out: meters whose consent is gone.
pub(super) fn of_status(series: &[SeriesStatus]) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    for one in series.iter().filter(|one| one.state == SeriesState::Suspended) {
        let message = one.message.clone().unwrap_or_else(|| "consent or holder was refused".to_owned());
        let finding = Finding::new("consent", Verdict::Problem(Exit::Failed), message).of(&one.name);
        if !found.contains(&finding) {
            found.push(finding);
        }
    }
    found
}
