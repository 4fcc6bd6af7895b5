//! The page, the answer to it, and the way back.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use super::{Outcome, Ticket, duration, sandbox};
use crate::domain::{Api, Prm, paris};
use crate::simulator::refusal::{Refusal, not_found_page};
use crate::simulator::rules::{Query, get};
use crate::simulator::server::{Played, Simulator};

/// Longest `state` that is taken.
const STATE: usize = 100;

/// A page, with or without choices.
fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let text = format!(
        "<!DOCTYPE html>\n<html lang=\"fr\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n{body}</body></html>\n"
    );
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

/// Sends the browser back to the application, with the `state` that it came with.
fn back(ticket: &Ticket, parameters: &[(&str, &str)]) -> Response {
    let state = ticket.state.as_deref().map(|state| ("state", state));
    to_application(ticket, parameters.iter().copied().chain(state))
}

fn to_application<'p>(ticket: &Ticket, parameters: impl Iterator<Item = (&'p str, &'p str)>) -> Response {
    let Ok(mut url) = url::Url::parse(&ticket.redirect) else {
        return page(StatusCode::INTERNAL_SERVER_ERROR, "Erreur", "<p>L'adresse de retour n'est pas valide.</p>\n");
    };
    url.query_pairs_mut().extend_pairs(parameters);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::FOUND;
    if let Ok(to) = HeaderValue::from_str(url.as_str()) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}

/// Sends it back from a journey that failed.
fn failed(ticket: &Ticket, parameters: &[(&str, &str)]) -> Response {
    if ticket.state_in_failures { back(ticket, parameters) } else { to_application(ticket, parameters.iter().copied()) }
}

fn refused(ticket: &Ticket) -> Response {
    failed(ticket, &[("error", "access_denied"), ("error_description", "the customer refused")])
}

/// Where a page of that journey is.
fn path(api: Api) -> &'static str {
    match api {
        Api::V5 => "/dataconnect/v1/oauth2/authorize",
        Api::V2026 => "/dataconnect/v2/oauth2/authorize",
    }
}

/// A request for the page.
pub(in crate::simulator) fn authorize(simulator: &Simulator, api: Api, query: &Query) -> Response {
    let monotonic = simulator.shared.clock.monotonic();
    let state = &mut *simulator.state();
    let ticket = match ticket(state, api, query, monotonic) {
        Ok(ticket) => ticket,
        Err(refusal) => return refusal.response(),
    };
    let last = ticket.state.as_deref().and_then(|text| text.chars().last());
    if state.world.rules.consent.sandbox
        && let Some(digit) = last.and_then(|last| last.to_digit(10))
    {
        let Some(prms) = sandbox::customer(state.world_mut(), digit) else { return refused(&ticket) };
        let response = share(state, &ticket, &prms, true);
        sandbox::afterwards(state.world_mut(), digit);
        return response;
    }
    let prms: Vec<Prm> = state.world.meters.iter().filter(|meter| meter.known).map(|meter| meter.prm.clone()).collect();
    match state.world.rules.consent.outcome {
        Outcome::Granted => share(state, &ticket, &prms, false),
        Outcome::Refused => refused(&ticket),
        Outcome::Unfinished => {
            failed(&ticket, &[("error", "invalid_request"), ("error_description", "demande_non_aboutie")])
        }
        Outcome::ServerError => failed(
            &ticket,
            &[("code", "500"), ("error", "server_error"), ("error_description", "lincs-internal-server-error")],
        ),
        Outcome::Page => {
            let name = state.journeys.open(ticket);
            let link = |choice: &str, id: &str, text: &str| {
                format!("<li><a id=\"{id}\" href=\"{}/answer?ticket={name}&amp;{choice}\">{text}</a></li>\n", path(api))
            };
            let mut choices = String::from("<ul>\n");
            for prm in &prms {
                let full = prm.full();
                choices.push_str(&link(
                    &format!("share={full}"),
                    &format!("share-{full}"),
                    &format!("Partager le point {full}"),
                ));
            }
            choices.push_str(&link("refuse=1", "refuse", "Refuser"));
            choices.push_str("</ul>\n");
            page(StatusCode::OK, "Partager mes données", &choices)
        }
    }
}

/// Checks a request for the page.
fn ticket(state: &Played, api: Api, query: &Query, now: std::time::Duration) -> Result<Ticket, Refusal> {
    let rules = &state.world.rules;
    let wrong = |what: &str| Refusal::business(400, "invalid_request", what);
    let given =
        |name: &str| get(query, name).filter(|value| !value.is_empty()).ok_or_else(|| wrong("missing_parameter"));
    let (client_id, response_type, period) = (given("client_id")?, given("response_type")?, given("duration")?);
    if rules.token.client_id.as_deref().is_some_and(|known| known != client_id) {
        return Err(not_found_page());
    }
    if response_type != "code" {
        return Err(wrong("unsupported_response_type"));
    }
    let ends = duration::ends(paris::today(state.calendar.now()), period).map_err(|why| wrong(why.name()))?;
    let given_state = get(query, "state").map(str::to_owned);
    if given_state.as_ref().is_some_and(|given| given.chars().count() > STATE) {
        return Err(wrong("invalid_state"));
    }
    let wanted = get(query, "redirect_uri").filter(|uri| on_loopback(uri));
    let redirect = wanted.unwrap_or(&rules.consent.redirect_uri).to_owned();
    let good_until = now + std::time::Duration::from_mins(rules.consent.page_minutes);
    let state_in_failures = rules.consent.state_in_failures;
    Ok(Ticket { api, state: given_state, state_in_failures, redirect, ends, good_until })
}

fn on_loopback(uri: &str) -> bool {
    match url::Url::parse(uri).ok().as_ref().and_then(url::Url::host) {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// What the customer chose on the page.
pub(in crate::simulator) fn answer(simulator: &Simulator, query: &Query) -> Response {
    let now = simulator.shared.clock.monotonic();
    let state = &mut *simulator.state();
    let Some(ticket) = get(query, "ticket").and_then(|name| state.journeys.take(name, now)) else {
        return page(StatusCode::BAD_REQUEST, "Session expirée", "<p>Votre demande a expiré. Recommencez-la.</p>\n");
    };
    let Some(chosen) = get(query, "share") else { return refused(&ticket) };
    let prms: Result<Vec<Prm>, _> = chosen.split(';').map(str::parse).collect();
    match prms {
        Ok(prms) if prms.iter().all(|prm| state.world.meter(prm).is_some()) => share(state, &ticket, &prms, false),
        _ => page(StatusCode::NOT_FOUND, "Point inconnu", "<p>Ce point n'est pas le vôtre.</p>\n"),
    }
}

/// Shares meters and sends the browser back. Those of a test customer can be shared `again` and again.
fn share(state: &mut Played, ticket: &Ticket, prms: &[Prm], again: bool) -> Response {
    let now = state.calendar.now();
    // A consent of the new journey is about one meter.
    let prms = if ticket.api == Api::V2026 { prms.get(..1).unwrap_or_default() } else { prms };
    let Some(first) = prms.first() else { return refused(ticket) };
    let is_shared = |prm: &Prm| state.world.meter(prm).is_some_and(|meter| state.journeys.is_shared(&meter, now));
    if ticket.api == Api::V2026 && !again && is_shared(first) {
        let text = "<p>Ce point est déjà partagé avec cette application. Supprimez d'abord le partage existant.</p>\n";
        return page(StatusCode::OK, "Partage impossible", text);
    }
    for prm in prms {
        let consent = state.journeys.share(prm, now, ticket.ends);
        if let Some(meter) = state.world_mut().meter_mut(prm) {
            (meter.consent, meter.production_consent) = (consent, None);
        }
    }
    match ticket.api {
        Api::V5 => {
            let ids: Vec<&str> = prms.iter().map(Prm::full).collect();
            let code = format!("{:x}", super::authorisation(state.world.seed, first).unsigned_abs() * 7919);
            back(ticket, &[("code", &code), ("usage_point_id", &ids.join(";"))])
        }
        Api::V2026 => {
            let id = super::authorisation(state.world.seed, first).to_string();
            back(ticket, &[("autorisation_id", &id)])
        }
    }
}
