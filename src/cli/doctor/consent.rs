//! What is known of consents: which meters credentials cover, and until when.

use chrono::{DateTime, Utc};

use super::{Finding, Verdict};
use crate::cli::render::number;
use crate::config::MeterConfig;
use crate::domain::{Prm, SeriesState, paris};
use crate::exit::Exit;
use crate::source::Grant;
use crate::store::SeriesStatus;

/// Consents and tokens that end sooner are worth a warning: renewing them takes a person.
pub(crate) const SOON_DAYS: i64 = 30;

/// Whole days until an instant; below 0 where it is past.
pub(crate) fn days_left(until: DateTime<Utc>, now: DateTime<Utc>) -> i64 {
    (until - now).num_seconds().div_euclid(86_400)
}

/// What credentials of a source say: their end, and the meters that they do not name. `meters` are
/// those that are asked for from this source.
pub(super) fn of_grant(source: &str, grant: &Grant, meters: &[&MeterConfig], now: DateTime<Utc>) -> Vec<Finding> {
    let mut found = Vec::new();
    let finding = |verdict, message: String| Finding::new("consent", verdict, message).of(source);
    if let Some(until) = grant.until {
        let day = paris::today(until);
        found.push(match days_left(until, now) {
            left if left < 0 => finding(
                Verdict::Problem(Exit::CredentialsRefused),
                format!("the token ended on {day}; give the consent again and put the new token in its place"),
            ),
            left if left < SOON_DAYS => finding(
                Verdict::Warning,
                format!(
                    "the token ends on {day}, in {}; give the consent again before and put the new token in its place",
                    number::counted(left, "day", "days")
                ),
            ),
            left => finding(Verdict::Well, format!("the token holds until {day}, for {}", number::counted(left, "day", "days"))),
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
        let names: Vec<&str> = meters.iter().map(|meter| meter.name.as_str()).collect();
        let message = if names.is_empty() {
            format!("no meter is asked for; the credentials are for {}", masked(named))
        } else {
            format!("the credentials are for {}", names.join(", "))
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
