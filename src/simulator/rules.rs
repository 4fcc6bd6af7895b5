//! What Enedis enforces, stated anew from what is known of it, in one order for both APIs.
//!
//! Real Enedis checks in an order that nobody has documented; the one here gives exactly one error
//! for each request: parameters, dates, direction, consent, span, history, activation. Whether
//! there is data at all is found out last, by the server.

use chrono::{DateTime, NaiveTime, Utc};
use serde::Deserialize;

use super::consent::ConsentRules;
use super::conso::ConsoRules;
use super::med::MedRules;
use super::meter::MeterSpec;
use super::quota::Limits;
use super::refusal::{Envelope, Refusal, technical};
use super::registers::RegisterRules;
use super::service::Service;
use super::text;
use super::token::TokenRules;
use super::world::World;
use crate::domain::dataset::Kind;
use crate::domain::{Api, Dataset, Day, Days, Direction, Prm, paris};

/// How wall times are written on the two days of a year on which the clocks change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dst {
    /// Every interval has its label: 46 and 50 half-hours. Most probably what Enedis does.
    #[default]
    Regular,
    /// The second of the two equal hours in autumn is left out.
    Merged48,
    /// The two equal hours in autumn are one, with the sum of both.
    MergedSum,
    /// The hour that spring skips is filled with points without a value.
    SpringNull,
    /// The hour that spring skips is filled with zeros.
    SpringZero,
    /// The newest point comes first, on all days.
    Descending,
}

/// What the API of 2026 does with an end after today.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FutureEnd {
    /// Refuses it, as v5 does.
    #[default]
    Refuse,
    /// Takes it and serves what there is.
    Accept,
}

/// Windows, caps and habits. The default is what is known of Enedis.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// Gives each well-formed PRM that is not listed a meter.
    pub any_prm: bool,
    /// The APIs that are still served; the other one answers 404 with gateway code 900906.
    #[serde(deserialize_with = "text::apis")]
    pub apis: Vec<Api>,
    /// Datasets that the application is not subscribed to: 403 with gateway code 900908.
    #[serde(deserialize_with = "text::list")]
    pub unsubscribed: Vec<Dataset>,
    /// The same for services.
    #[serde(deserialize_with = "text::list")]
    pub unsubscribed_services: Vec<Service>,
    /// Time in Paris at which the day before is published.
    #[serde(deserialize_with = "text::time")]
    pub publish_at: NaiveTime,
    /// Added to that, for all.
    pub publication_delay_minutes: i64,
    /// Share of all (meter, day) that is published a day late, in thousandths.
    pub late_permille: i64,
    /// Longest span of a load curve.
    pub curve_span_days: i32,
    /// Longest span of the other datasets; none where left out.
    pub daily_span_days: Option<i32>,
    /// History of load curves.
    pub curve_history_months: u32,
    /// History of daily values.
    pub daily_history_months: u32,
    /// Added to both.
    pub history_extra_days: i32,
    /// Labels on days of a clock change.
    pub dst: Dst,
    /// An end after today in the API of 2026.
    pub future_end_2026: FutureEnd,
    /// Status of a request of the API of 2026 that does not follow its description.
    pub malformed_2026_status: u16,
    /// Calls a second and an hour.
    pub limits: Limits,
    /// Tokens.
    pub token: TokenRules,
    /// The consent journey.
    pub consent: ConsentRules,
    /// Registers.
    pub registers: RegisterRules,
    /// The Conso API.
    pub conso_api: ConsoRules,
    /// MyElectricalData.
    pub myelectricaldata: MedRules,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            any_prm: false,
            apis: vec![Api::V5, Api::V2026],
            unsubscribed: Vec::new(),
            unsubscribed_services: Vec::new(),
            publish_at: NaiveTime::from_hms_opt(8, 0, 0).unwrap_or_default(),
            publication_delay_minutes: 0,
            late_permille: 0,
            curve_span_days: 7,
            daily_span_days: None,
            curve_history_months: 24,
            daily_history_months: 36,
            history_extra_days: 15,
            dst: Dst::default(),
            future_end_2026: FutureEnd::default(),
            malformed_2026_status: 500,
            limits: Limits::default(),
            token: TokenRules::default(),
            consent: ConsentRules::default(),
            registers: RegisterRules::default(),
            conso_api: ConsoRules::default(),
            myelectricaldata: MedRules::default(),
        }
    }
}

impl Rules {
    /// The first day that is served of a dataset, today being `today`.
    #[must_use]
    pub fn history_begins(&self, dataset: Dataset, today: Day) -> Day {
        let months = match dataset.kind() {
            Kind::LoadCurve => self.curve_history_months,
            Kind::DailyEnergy | Kind::MaxPower | Kind::Registers => self.daily_history_months,
        };
        today.minus_months(months).plus(-self.history_extra_days)
    }

    fn span(&self, dataset: Dataset) -> Option<i32> {
        match dataset.kind() {
            Kind::LoadCurve => Some(self.curve_span_days),
            Kind::DailyEnergy | Kind::MaxPower | Kind::Registers => self.daily_span_days,
        }
    }
}

/// A request that passed every check of form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) api: Api,
    pub(super) dataset: Dataset,
    pub(super) prm: Prm,
    pub(super) days: Days,
    /// One maximum for each month instead of each day.
    pub(super) monthly: bool,
}

/// The parameters of a call, as they came.
pub(super) type Query = Vec<(String, String)>;

/// Names of PRM, start and end.
pub(super) fn names(api: Api) -> [&'static str; 3] {
    match api {
        Api::V5 => ["usage_point_id", "start", "end"],
        Api::V2026 => ["pointId", "dateDebut", "dateFin"],
    }
}

pub(super) fn get<'q>(query: &'q Query, name: &str) -> Option<&'q str> {
    query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// Checks a request, up to the question whether there is data.
pub(super) fn judge(
    world: &World,
    now: DateTime<Utc>,
    api: Api,
    dataset: Dataset,
    query: &Query,
) -> Result<Ask, Refusal> {
    if world.rules.unsubscribed.contains(&dataset) {
        return Err(not_subscribed());
    }
    judge_days(world, now, api, dataset, query)
}

/// Whether an API is still there.
pub(super) fn served(world: &World, api: Api) -> Result<(), Refusal> {
    let text = "No matching resource found for given API Request";
    let served = world.rules.apis.contains(&api);
    if served { Ok(()) } else { Err(Refusal::new(404, Envelope::E3, "900906", text)) }
}

/// The application is not subscribed to that part of an API.
pub(super) fn not_subscribed() -> Refusal {
    let text = "User is NOT authorized to access the Resource. API Subscription validation failed.";
    Refusal::new(403, Envelope::E3, "900908", text)
}

/// The same without the question whether the application is subscribed.
pub(super) fn judge_days(
    world: &World,
    now: DateTime<Utc>,
    api: Api,
    dataset: Dataset,
    query: &Query,
) -> Result<Ask, Refusal> {
    let today = paris::today(now);
    let ask = match api {
        Api::V5 => read_v5(dataset, query, today)?,
        Api::V2026 => read_2026(&world.rules, dataset, query, today)?,
    };
    let Some(meter) = world.meter(&ask.prm) else { return Err(no_consent(api)) };
    if !meter.known {
        return Err(Refusal::business(404, "STM-ERR-0000019", "Unknown or unauthorized user"));
    }
    may_read(&meter, &ask, now)?;
    within_limits(&world.rules, &meter, &ask, today)?;
    Ok(ask)
}

fn read_v5(dataset: Dataset, query: &Query, today: Day) -> Result<Ask, Refusal> {
    let invalid = |text: &str| Refusal::business(400, "Invalid_request", text);
    let [prm_name, start_name, end_name] = names(Api::V5);
    let prm = get(query, prm_name).ok_or_else(|| invalid("usage_point_id parameter is missing."))?;
    let prm: Prm = prm.parse().map_err(|_| invalid("usage_point_id parameter must be 14 digits long."))?;
    let day = |name: &str| {
        let text = get(query, name).ok_or_else(|| invalid(&format!("{name} parameter is missing.")))?;
        text.parse::<Day>().map_err(|_| invalid(&format!("{name} parameter must be formatted as YYYY-MM-DD.")))
    };
    let (start, end) = (day(start_name)?, day(end_name)?);
    if end > today {
        return Err(Refusal::business(
            400,
            "invalid_request",
            "End date parameter must be earlier than the current date.",
        ));
    }
    let days = Days::new(start, end)
        .ok_or_else(|| Refusal::business(400, "invalid_request", "Start date should be before end date."))?;
    Ok(Ask { api: Api::V5, dataset, prm, days, monthly: false })
}

fn read_2026(rules: &Rules, dataset: Dataset, query: &Query, today: Day) -> Result<Ask, Refusal> {
    let malformed = || Refusal { status: rules.malformed_2026_status, ..technical() };
    let mut wanted = names(Api::V2026).to_vec();
    if dataset.kind() == Kind::MaxPower {
        wanted.extend(["mesuresPas", "grandeurPhysique"]);
    }
    // Each of them once, and nothing else.
    if query.len() != wanted.len() || wanted.iter().any(|name| get(query, name).is_none()) {
        return Err(malformed());
    }
    let [prm_name, start_name, end_name] = names(Api::V2026);
    let text = |name: &str| get(query, name).unwrap_or_default();
    let prm: Prm = text(prm_name).parse().map_err(|_| malformed())?;
    let start: Day = text(start_name).parse().map_err(|_| malformed())?;
    let end: Day = text(end_name).parse().map_err(|_| malformed())?;
    if dataset.kind() == Kind::MaxPower
        && !(matches!(text("mesuresPas"), "P1D" | "P1M") && matches!(text("grandeurPhysique"), "PMA" | "TOUT"))
    {
        return Err(malformed());
    }
    if end > today && rules.future_end_2026 == FutureEnd::Refuse {
        let text = "La date de fin doit être antérieure à la date du jour.";
        return Err(Refusal::business(400, "invalid_request", text));
    }
    let days = Days::new(start, end).ok_or_else(|| {
        Refusal::business(400, "ADAM-ERR0002", "La date de fin doit être supérieure à la date de début.")
    })?;
    Ok(Ask { api: Api::V2026, dataset, prm, days, monthly: text("mesuresPas") == "P1M" })
}

fn may_read(meter: &MeterSpec, ask: &Ask, now: DateTime<Utc>) -> Result<(), Refusal> {
    let french = ask.api == Api::V2026;
    let direction = ask.dataset.direction();
    if !meter.has(direction) {
        let text = match (french, direction) {
            (false, Direction::Consumption) => "The requested usage point is not a consumption point.",
            (false, Direction::Production) => "The requested usage point is not a production point.",
            (true, _) => "Le sens de la mesure demandée n'est pas compatible avec le point.",
        };
        return Err(Refusal::business(400, "ADAM-ERR0069", text));
    }
    if !meter.held {
        return Err(not_held());
    }
    let consent = meter.consent_for(direction);
    if !consent.holds(now) {
        return Err(no_consent(ask.api));
    }
    if consent.covers_from.is_some_and(|first| ask.days.first() < first) {
        let text = "The requested period starts before the customer's consent.";
        return Err(Refusal::business(403, "ADAM-DC-0009", text));
    }
    if meter.curve_objected && ask.dataset.kind() == Kind::LoadCurve {
        let text = if french {
            "Le client s'est opposé à la collecte de la courbe de charge."
        } else {
            "The customer objected to the collection of the load curve."
        };
        return Err(Refusal::business(400, "ADAM-ERR0075", text));
    }
    Ok(())
}

fn within_limits(rules: &Rules, meter: &MeterSpec, ask: &Ask, today: Day) -> Result<(), Refusal> {
    let text = |english: &'static str, french: &'static str| if ask.api == Api::V2026 { french } else { english };
    if let Some(cap) = rules.span(ask.dataset).filter(|cap| ask.days.len() > *cap) {
        let english = format!("The requested period cannot be longer than {cap} days.");
        let french = format!("La période demandée ne peut pas dépasser {cap} jours.");
        let text = if ask.api == Api::V2026 { french } else { english };
        return Err(Refusal::business(400, "ADAM-ERR0126", &text));
    }
    if ask.days.first() < rules.history_begins(ask.dataset, today) {
        let text = text(
            "The requested period is beyond the depth of history that is available.",
            "La période demandée est antérieure à la profondeur d'historique disponible.",
        );
        return Err(Refusal::business(400, "ADAM-ERR0125", text));
    }
    if meter.activated_on(ask.dataset.direction()).is_some_and(|since| ask.days.first() < since) {
        let text = text(
            "The requested period cannot be anterior to the meter's last activation date.",
            "La date de début est antérieure à la date de dernière mise en service du point.",
        );
        return Err(Refusal::business(400, "ADAM-ERR0123", text));
    }
    Ok(())
}

/// Somebody else holds the contract.
pub(super) fn not_held() -> Refusal {
    Refusal::business(400, "ADAM-DC-0007", "Le client n'est pas titulaire du point demandé.")
}

/// There is no consent.
pub(super) fn no_consent(api: Api) -> Refusal {
    let text = match api {
        Api::V5 => "No consent can be found for this customer and this usage point.",
        Api::V2026 => "Aucun consentement n'a été trouvé pour ce client et ce point.",
    };
    Refusal::business(403, "ADAM-DC-0008", text)
}

/// Nothing stored for the days asked for.
pub(super) fn no_data(api: Api) -> Refusal {
    let text = match api {
        Api::V5 => "no measure found for this usage point",
        Api::V2026 => "Pas de mesure trouvée pour ce point",
    };
    Refusal::business(404, "no_data_found", text)
}
