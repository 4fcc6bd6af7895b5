//! What is known of consents: which meters credentials cover, and until when.

use chrono::{DateTime, Utc};

use super::{Finding, Verdict};
use crate::cli::sources::{self, Term};
use crate::config::MeterConfig;
use crate::domain::{Prm, SeriesState};
use crate::exit::Exit;
use crate::source::Grant;
use crate::store::SeriesStatus;

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
