//! What faults do to an answer: points first, bytes after.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::stream;
use serde_json::Value;

use super::action::{Action, Form};
use super::answer::{Answer, Label, Point};
use super::quota::{gateway_time, hour_used_up};
use super::refusal::{Envelope, Refusal};
use crate::clock::Clock;
use crate::domain::Direction;

/// Damages the points of an answer.
pub(super) fn points(answer: &mut Answer, action: &Action, rng: &mut fastrand::Rng) {
    match action {
        Action::WrongPrm => {
            let last = answer.prm.full().ends_with('0');
            let other = format!("{}{}", answer.prm.full().get(..13).unwrap_or_default(), u8::from(last));
            if let Ok(prm) = other.parse() {
                answer.prm = prm;
            }
        }
        Action::WrongDirection => {
            answer.direction = match answer.direction {
                Direction::Consumption => Direction::Production,
                Direction::Production => Direction::Consumption,
            };
        }
        Action::WrongDays => {
            answer.start = answer.start.plus(-30);
            answer.end = answer.end.plus(-30);
            for point in &mut answer.points {
                *point = moved(point, -30);
            }
        }
        Action::Shuffled => rng.shuffle(&mut answer.points),
        Action::Duplicated { conflicting } => {
            let twice = |(point, index): (Point, usize)| {
                let copy = (index % 5 == 2).then(|| {
                    let value = if *conflicting { Value::String("2".to_owned()) } else { point.value.clone() };
                    Point { value, ..point.clone() }
                });
                std::iter::once(point).chain(copy)
            };
            answer.points = std::mem::take(&mut answer.points).into_iter().zip(0..).flat_map(twice).collect();
        }
        Action::Outside => {
            let days = answer.end.since(answer.start);
            let before: Vec<Point> = answer.points.iter().map(|point| moved(point, -days)).collect();
            let after: Vec<Point> = answer.points.iter().map(|point| moved(point, days)).collect();
            let inside = std::mem::take(&mut answer.points);
            answer.points = before.into_iter().chain(inside).chain(after).collect();
        }
        Action::Value { json, points } => {
            let value = serde_json::from_str(json).unwrap_or_else(|_| Value::String(json.clone()));
            let all = points.is_empty();
            for (point, index) in answer.points.iter_mut().zip(0..) {
                if all || points.contains(&index) {
                    point.value = value.clone();
                }
            }
        }
        Action::Numbers => {
            for point in &mut answer.points {
                if let Some(number) = point.value.as_str().and_then(|text| text.parse::<i64>().ok()) {
                    point.value = number.into();
                }
            }
        }
        Action::NoLength => answer.points.iter_mut().for_each(|point| point.length = None),
        Action::Length { text } => answer.points.iter_mut().for_each(|point| point.length = Some(text.clone())),
        Action::OffGrid => off_grid(answer),
        Action::DayLeftOut { day } => {
            let day = day.unwrap_or(answer.end.plus(-1));
            answer.points.retain(|point| point.day != day);
        }
        Action::PartOfDay { day, points } => {
            let day = day.unwrap_or(answer.end.plus(-1));
            let mut kept = 0;
            answer.points.retain(|point| {
                kept += usize::from(point.day == day);
                point.day != day || kept <= *points
            });
        }
        _ => {}
    }
}

fn moved(point: &Point, days: i32) -> Point {
    let label = match point.label {
        Label::Day(day) => Label::Day(day.plus(days)),
        Label::Moment(moment) => Label::Moment(moment + TimeDelta::days(i64::from(days))),
    };
    Point { day: point.day.plus(days), label, ..point.clone() }
}

/// Adds a point shortly after the fourth one, as power cuts do.
fn off_grid(answer: &mut Answer) {
    let extra = answer.points.get(3).and_then(|point| match point.label {
        Label::Day(_) => None,
        Label::Moment(moment) => {
            Some(Point { label: Label::Moment(moment + TimeDelta::seconds(250)), ..point.clone() })
        }
    });
    if let Some(extra) = extra {
        answer.points.insert(4, extra);
    }
}

/// The answer that a fault gives instead of the honest one, with its code.
pub(super) fn instead(action: &Action, now: DateTime<Utc>) -> Option<(Response, Option<String>)> {
    let refusal = match action {
        Action::Status { status, envelope, code, text } => Refusal::new(*status, *envelope, code, text),
        Action::Throttle { form, seconds } => return Some(throttled(*form, *seconds, now)),
        Action::Redirect { to } => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::FOUND;
            if let Ok(to) = HeaderValue::from_str(to) {
                response.headers_mut().insert(header::LOCATION, to);
            }
            return Some((response, None));
        }
        Action::Cut => return Some((cut(None), None)),
        Action::Endless { mib } => return Some((endless(*mib), None)),
        Action::GzipBomb { mib } => return Some((gzip_bomb(*mib), None)),
        _ => return None,
    };
    let code = (!refusal.code.is_empty()).then(|| refusal.code.clone());
    Some((refusal.response(), code))
}

fn throttled(form: Form, seconds: i64, now: DateTime<Utc>) -> (Response, Option<String>) {
    let at = now + TimeDelta::seconds(seconds);
    let gateway = |code: &str| Refusal::new(429, Envelope::E3, code, "You have exceeded your quota");
    let sentence = |delay: &str| {
        Refusal::new(429, Envelope::E6, "429", &format!("Quota.Q4.reached Call threshold allowed on {delay}"))
    };
    let refusal = match form {
        Form::RetryAfter | Form::HttpDate | Form::Bare => gateway("900804"),
        Form::NextAccessTime => hour_used_up(gateway_time(at)),
        Form::Absurd => hour_used_up("9999-Dec-31 23:00:00+0000 UTC".to_owned()),
        Form::Threshold => sentence(&format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)),
        Form::NegativeThreshold => sentence("0:-30:-40"),
        Form::Burst => gateway("900807"),
    };
    let mut response = refusal.response();
    let header = match form {
        Form::RetryAfter => HeaderValue::from_str(&seconds.to_string()).ok(),
        Form::HttpDate => HeaderValue::from_str(&http_date(at)).ok(),
        _ => None,
    };
    if let Some(value) = header {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    (response, Some(refusal.code))
}

/// A date as HTTP writes it, always GMT.
fn http_date(at: DateTime<Utc>) -> String {
    at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Damages the bytes of an answer.
pub(super) async fn bytes(response: Response, action: &Action, clock: &Arc<dyn Clock>) -> Response {
    let (mut parts, body) = response.into_parts();
    match action {
        Action::HugeHeader { kib } => {
            if let Ok(value) = HeaderValue::from_str(&"x".repeat(kib * 1024)) {
                parts.headers.insert("x-padding", value);
            }
            return Response::from_parts(parts, body);
        }
        Action::ContentType { value } => {
            if let Ok(value) = HeaderValue::from_str(value) {
                parts.headers.insert(header::CONTENT_TYPE, value);
            }
            return Response::from_parts(parts, body);
        }
        Action::Truncated | Action::InvalidUtf8 | Action::CutBody | Action::Drip { .. } => {}
        _ => return Response::from_parts(parts, body),
    }
    let whole = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let half = whole.slice(..whole.len() / 2);
    let body = match action {
        Action::CutBody => return with_parts(parts, cut(Some(half))),
        Action::Drip { delay_ms } => drip(whole, Duration::from_millis(*delay_ms), Arc::clone(clock)),
        Action::InvalidUtf8 => {
            let mut damaged = whole.to_vec();
            if let Some(byte) = damaged.get_mut(half.len()) {
                *byte = 0xFF;
            }
            Body::from(damaged)
        }
        _ => Body::from(half),
    };
    Response::from_parts(parts, body)
}

fn with_parts(parts: axum::http::response::Parts, response: Response) -> Response {
    Response::from_parts(parts, response.into_body())
}

/// A body that breaks off. Where nothing was sent before, the server has not even written the
/// head when the error arrives, so the reader sees a connection closed without an answer.
fn cut(sent: Option<Bytes>) -> Response {
    let broken = || std::io::Error::new(std::io::ErrorKind::ConnectionReset, "cut by order");
    let body = stream::unfold(if sent.is_some() { 0 } else { 2 }, move |turn| {
        let sent = sent.clone();
        async move {
            if turn == 0 {
                return Some((Ok(sent.unwrap_or_default()), 1));
            }
            if turn == 1 {
                // Lets the server flush what it has, so that half of the body really arrives.
                tokio::task::yield_now().await;
            }
            (turn < 3).then(|| (Err(broken()), 3))
        }
    });
    Response::new(Body::from_stream(body))
}

fn drip(whole: Bytes, delay: Duration, clock: Arc<dyn Clock>) -> Body {
    Body::from_stream(stream::unfold((whole, clock), move |(mut rest, clock)| async move {
        if rest.is_empty() {
            return None;
        }
        clock.sleep(delay).await;
        let byte = rest.split_to(1);
        Some((Ok::<_, std::io::Error>(byte), (rest, clock)))
    }))
}

/// A JSON document that opens and then is white space for a very long time.
fn endless(mib: u64) -> Response {
    let blank = Bytes::from(vec![b' '; 64 * 1024]);
    let body = stream::unfold(0, move |sent: u64| {
        let blank = blank.clone();
        async move {
            let chunk = if sent == 0 { Bytes::from_static(b"{") } else { blank };
            (sent <= mib * 16).then(|| (Ok::<_, std::io::Error>(chunk), sent + 1))
        }
    });
    Response::new(Body::from_stream(body))
}

/// The same, compressed by hand: DEFLATE with its fixed code, one blank and then "258 times the
/// byte before" over and over. Eight such copies fill exactly 13 bytes.
fn gzip_bomb(mib: u64) -> Response {
    let mut bits = Bits::default();
    // Final block, fixed code, then a literal blank (0x30 + 0x20, most significant bit first).
    bits.push(0b011, 3);
    bits.push_code(0x50, 8);
    let copies = mib * 1024 * 1024 / 258;
    for _ in 0..copies {
        bits.push_code(0b1100_0101, 8);
        bits.push_code(0, 5);
    }
    bits.push_code(0, 7);
    let mut bytes = vec![0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255];
    bytes.extend(bits.finish());
    // Checksum and size, which nobody reaches who limits what he inflates.
    bytes.extend([0; 8]);
    let mut response = Response::new(Body::from(bytes));
    response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response
}

/// Writes bits from the lowest of each byte on, as DEFLATE wants them.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    word: u8,
    used: u8,
}

impl Bits {
    fn push(&mut self, value: u16, count: u8) {
        for index in 0..count {
            self.word |= u8::from(value >> index & 1 == 1) << self.used;
            self.used += 1;
            if self.used == 8 {
                self.bytes.push(std::mem::take(&mut self.word));
                self.used = 0;
            }
        }
    }

    /// Huffman codes go the other way round.
    fn push_code(&mut self, code: u16, count: u8) {
        for index in (0..count).rev() {
            self.push(code >> index & 1, 1);
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.bytes.push(self.word);
        self.bytes
    }
}
