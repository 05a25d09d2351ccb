//! The routes of an endpoint, and the four kinds of requests to it.

use axum::{
    Router,
    extract::{Request, State},
    http::Method,
    response::{IntoResponse, Response},
    routing::any,
};

use super::{
    endpoint::Engine,
    handshake::Handshake,
    opening::Opening,
    query::{Parameters, Transport},
    refusal::Refusal,
    session::{Carrier, Session},
};
use crate::net::Peer;

impl Engine {
    /// Routes to the endpoint, at a path with a slash at its end or without.
    pub fn routes(self, path: &str) -> Router {
        Router::new()
            .route(path, any(serve))
            .route(&format!("{path}/"), any(serve))
            .with_state(self)
    }

    async fn answer(&self, mut request: Request) -> Result<Response, Refusal> {
        let peer = request.extensions_mut().remove::<Peer>();
        let peer = peer.ok_or_else(|| Refusal::BadRequest("the request has no peer".into()))?;
        let uri = std::mem::take(request.uri_mut());
        let parameters = Parameters::parse(&uri)?;
        let opening = Opening {
            parameters: &parameters,
            path: uri.path(),
        };
        match (parameters.transport, &parameters.sid) {
            (Transport::Polling, Some(id)) => {
                self.serve_polling(id, parameters.version, request).await
            }
            (Transport::Polling, None) => self.begin_on_polling(opening, &peer, request).await,
            (Transport::WebSocket, Some(id)) => {
                self.upgrade_to_websocket(id, opening, peer.connection, request)
            }
            (Transport::WebSocket, None) => self.begin_on_websocket(opening, &peer, request),
        }
    }

    async fn begin_on_polling(
        &self,
        opening: Opening<'_>,
        peer: &Peer,
        request: Request,
    ) -> Result<Response, Refusal> {
        if request.method() != Method::GET {
            return Err(Refusal::BadMethod);
        }
        let session = self.begin_session(Carrier::Polling, opening, peer, &request)?;
        let request = opening.request(None, request.headers(), Some(session.clone()));
        Ok(self.open_polling(session, opening, request).await)
    }

    fn begin_on_websocket(
        &self,
        opening: Opening<'_>,
        peer: &Peer,
        mut request: Request,
    ) -> Result<Response, Refusal> {
        let handshake = Handshake::from_request(&mut request)?;
        let carrier = Carrier::WebSocket(peer.connection.clone());
        let session = self.begin_session(carrier, opening, peer, &request)?;
        let request = opening.request(None, request.headers(), Some(session.clone()));
        Ok(self.open_websocket(session, handshake, request))
    }

    fn begin_session(
        &self,
        carrier: Carrier,
        opening: Opening<'_>,
        peer: &Peer,
        request: &Request,
    ) -> Result<Session, Refusal> {
        let admitted = self.admission.admit(peer.address, request.headers());
        let slots = admitted.inspect_err(|_| _ = self.metrics.refused.inc())?;
        let version = opening.parameters.version;
        let (settings, metrics) = (self.settings.clone(), self.metrics.clone());
        Ok(Session::new(carrier, version, settings, slots, metrics))
    }
}

async fn serve(State(engine): State<Engine>, request: Request) -> Response {
    engine
        .answer(request)
        .await
        .unwrap_or_else(Refusal::into_response)
}
