//! How Enedis says no: status, code, text, and the envelope they come in.
//!
//! Over the years business errors, the API gateway and the security equipment in front of it have
//! used eleven shapes, and the gateways have their own. Codes and texts are the protocol's own; readers are expected to go by status
//! and code, so some texts here are only close to the real ones.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

/// The shape of an error body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Envelope {
    /// `error` and `error_description`: business errors of both APIs.
    #[default]
    E1,
    /// `code` and `message`: what the description of the API of 2026 promises.
    E2,
    /// `code`, `message`, `description` side by side: the gateway.
    E3,
    /// `fault` with a number as code: the gateway in other years.
    E4,
    /// `error` is an object.
    E5,
    /// `error` is the status as text.
    E6,
    /// Plain text.
    E7,
    /// An HTML page.
    E8,
    /// Nothing at all.
    E9,
    /// A list of `code` and `message`.
    E10,
    /// `meter_reading` is null.
    E11,
    /// `status`, `message`, `error`: the Conso API. The code goes into `error` as Enedis has it.
    G1,
    /// `detail`: both versions of MyElectricalData, the second one for what is no answer at all.
    G2,
    /// `success`, `data`, `error`: MyElectricalData, as a rule with status 200.
    G3,
}

/// One refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) envelope: Envelope,
    pub(super) code: String,
    pub(super) text: String,
    /// For the gateway's quota errors.
    pub(super) next_access: Option<String>,
}

impl Refusal {
    pub(super) fn new(status: u16, envelope: Envelope, code: &str, text: &str) -> Self {
        Self { status, envelope, code: code.to_owned(), text: text.to_owned(), next_access: None }
    }

    /// A business error.
    pub(super) fn business(status: u16, code: &str, text: &str) -> Self {
        Self::new(status, Envelope::E1, code, text)
    }

    /// The body in the envelope.
    pub(super) fn body(&self) -> String {
        let Self { status, envelope, code, text, next_access } = self;
        match envelope {
            Envelope::E1 => json!({ "error": code, "error_description": text }).to_string(),
            Envelope::E2 => json!({ "code": code, "message": text }).to_string(),
            Envelope::E3 => {
                let mut body = json!({ "code": code, "message": gateway_title(code), "description": text });
                if let (Some(at), Some(object)) = (next_access, body.as_object_mut()) {
                    object.insert("nextAccessTime".to_owned(), json!(at));
                }
                body.to_string()
            }
            Envelope::E4 => {
                let number: u64 = code.parse().unwrap_or_default();
                let fault = json!({ "code": number, "message": gateway_title(code), "description": text });
                json!({ "fault": fault }).to_string()
            }
            Envelope::E5 => json!({ "error": { "code": status, "message": text } }).to_string(),
            Envelope::E6 => json!({ "error": status.to_string(), "error_description": text }).to_string(),
            Envelope::E7 => text.clone(),
            Envelope::E8 => format!(
                "<!DOCTYPE html>\n<html><head><title>{status}</title></head><body><h1>{text}</h1></body></html>\n"
            ),
            Envelope::E9 => String::new(),
            Envelope::E10 => json!([{ "code": code, "message": text }]).to_string(),
            Envelope::E11 => json!({ "meter_reading": null }).to_string(),
            Envelope::G1 => {
                let mut body = json!({ "status": status, "message": text });
                if let (false, Some(object)) = (code.is_empty(), body.as_object_mut()) {
                    object.insert("message".to_owned(), json!("The Enedis API returned an error"));
                    object.insert("error".to_owned(), json!({ "error": code, "error_description": text }));
                }
                body.to_string()
            }
            Envelope::G2 => json!({ "detail": text }).to_string(),
            Envelope::G3 => {
                json!({ "success": false, "data": null, "error": { "code": code, "message": text } }).to_string()
            }
        }
    }

    /// The answer that carries it.
    pub(super) fn response(&self) -> Response {
        let content_type = match self.envelope {
            Envelope::E7 | Envelope::E9 => "text/plain; charset=utf-8",
            Envelope::E8 => "text/html; charset=utf-8",
            _ => "application/json",
        };
        let mut response = Response::new(Body::from(self.body()));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        response
    }
}

/// The short line that the gateway puts beside a code.
fn gateway_title(code: &str) -> &'static str {
    match code {
        "900901" => "Invalid Credentials",
        "900902" => "Missing Credentials",
        "900903" => "Access Token Expired",
        "900904" => "Access Token Inactive",
        "900800" | "900802" | "900803" | "900804" | "900806" | "900807" => "Message throttled out",
        "900805" => "Message blocked",
        "900906" => "No matching resource found in the API for the given request",
        "900908" => "Resource forbidden ",
        _ => "Runtime Error",
    }
}

/// The page of the security equipment for a path that nobody serves.
pub(super) fn not_found_page() -> Refusal {
    Refusal::new(404, Envelope::E8, "", "Page introuvable")
}

/// What both APIs say when they do not want to say more.
pub(super) fn technical() -> Refusal {
    Refusal::business(500, "technical_error", "Technical error. Please try later.")
}
