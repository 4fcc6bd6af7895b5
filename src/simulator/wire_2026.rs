//! The bodies of the API of 2026, written from what it was seen to answer.

use serde::Serialize;
use serde_json::Value;

use super::answer::Answer;
use super::service::Service;
use crate::domain::dataset::Kind;
use crate::domain::{Dataset, Direction};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Root<'a> {
    id_prm: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    etape_metier: Option<&'static str>,
    periode: Periode,
    #[serde(skip_serializing_if = "Option::is_none")]
    type_valeur: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode_calcul: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pas: Option<&'static str>,
    grandeur: [Quantity<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    contexte: Option<[(); 0]>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Periode {
    date_debut: String,
    date_fin: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Quantity<'a> {
    grandeur_metier: &'static str,
    grandeur_physique: &'static str,
    unite: &'static str,
    points: Vec<WirePoint<'a>>,
    calendrier: [(); 0],
}

#[derive(Serialize)]
struct WirePoint<'a> {
    v: &'a Value,
    d: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    p: Option<&'a str>,
    #[serde(flatten)]
    quality: Option<Quality>,
}

#[derive(Serialize)]
struct Quality {
    n: &'static str,
    iv: &'static str,
    ec: &'static str,
}

/// Path of each dataset.
pub(super) fn path(dataset: Dataset) -> &'static str {
    match dataset {
        Dataset::ConsumptionLoadCurve => "/mesure_synchrone_auto/v2/courbe_de_charge_consommation",
        Dataset::ProductionLoadCurve => "/mesure_synchrone_auto/v2/courbe_de_charge_production",
        Dataset::DailyConsumption => "/mesure_synchrone_auto/v2/consommation_quotidienne",
        Dataset::DailyProduction => "/mesure_synchrone_auto/v2/production_quotidienne",
        Dataset::DailyMaxPower => "/mesure_synchrone_auto/v2/puissance_conso_max_quotidienne",
        Dataset::ConsumptionIndex => Service::ConsumptionIndex.path(),
        Dataset::ProductionIndex => Service::ProductionIndex.path(),
    }
}

/// The body of an answer.
pub(super) fn body(answer: &Answer) -> Vec<u8> {
    serde_json::to_vec(&root(answer, false)).unwrap_or_default()
}

/// The body as MyElectricalData puts it together anew: stage, kind of value, mode and context are
/// gone.
pub(super) fn rebuilt(answer: &Answer) -> Value {
    serde_json::to_value(root(answer, true)).unwrap_or_default()
}

fn root(answer: &Answer, rebuilt: bool) -> Root<'_> {
    let kind = answer.dataset.kind();
    let (grandeur_physique, unite, mode_calcul) = match kind {
        Kind::LoadCurve => ("PA", "W", "MESURE"),
        Kind::DailyEnergy => ("EA", "Wh", "DIFF.INDEX"),
        Kind::MaxPower => ("PMA", "VA", "MESURE"),
        Kind::Registers => ("EA", "Wh", ""),
    };
    let pas = match kind {
        Kind::LoadCurve | Kind::Registers => None,
        Kind::MaxPower if answer.monthly => Some("P1M"),
        Kind::DailyEnergy | Kind::MaxPower => Some("P1D"),
    };
    let points = answer.points.iter().map(|point| WirePoint {
        v: &point.value,
        d: point.label.text(),
        p: point.length.as_deref(),
        quality: (kind == Kind::LoadCurve).then_some(Quality { n: "B", iv: "0", ec: "0" }),
    });
    let grandeur_metier = match answer.direction {
        Direction::Consumption => "CONS",
        Direction::Production => "PROD",
    };
    Root {
        id_prm: answer.prm.full(),
        etape_metier: (!rebuilt).then_some("BRUT"),
        periode: Periode { date_debut: answer.start.to_string(), date_fin: answer.end.to_string() },
        type_valeur: (!rebuilt && kind == Kind::DailyEnergy).then_some("GLOBALE"),
        mode_calcul: (!rebuilt).then_some(mode_calcul),
        pas,
        grandeur: [Quantity { grandeur_metier, grandeur_physique, unite, points: points.collect(), calendrier: [] }],
        contexte: (!rebuilt).then_some([]),
    }
}
