//! The simulated Enedis without a socket.

use async_trait::async_trait;
use axum::body::Body;
use linkyd::client::transport::MAX_BODY;
use linkyd::client::{Transport, TransportError};
use linkyd::simulator::Simulator;
use linkyd::source::{Request, Response};
use secrecy::ExposeSecret as _;
use tower::ServiceExt as _;

/// Calls the simulator's router.
#[derive(Debug)]
pub(crate) struct InMemory(pub(crate) Simulator);

#[async_trait]
impl Transport for InMemory {
    async fn send(&self, request: &Request) -> Result<Response, TransportError> {
        let mut builder = axum::http::Request::builder().uri(request.url.as_str());
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        if let Some(authorization) = &request.authorization {
            builder = builder.header("authorization", authorization.expose_secret());
        }
        let body = request.form.as_ref().map_or_else(Body::empty, |form| Body::from(form.expose_secret().to_owned()));
        if request.form.is_some() {
            builder = builder.method("POST").header("content-type", "application/x-www-form-urlencoded");
        }
        let request = builder.body(body).map_err(|_| TransportError::Cut)?;
        let answer = self.0.router().oneshot(request).await.map_err(|never| match never {})?;
        let status = answer.status().as_u16();
        let bytes = axum::body::to_bytes(answer.into_body(), MAX_BODY).await.map_err(|_| TransportError::Cut)?;
        Ok(Response { status, headers: Vec::new(), body: bytes.to_vec() })
    }
}
