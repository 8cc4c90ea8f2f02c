//! An asker with a right, which the type of a handler names.

use std::marker::PhantomData;
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::app::App;
pub(super) use super::asker::Asker;
use super::authenticate::authenticate;
pub(super) use super::rights::*;
use crate::problem::Problem;

/// The address of the other end, put into a request's extensions by whoever accepted the connection.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddress(pub IpAddr);

/// An asker with the right `R`.
pub(super) struct Caller<R> {
    asker: Asker,
    right: PhantomData<R>,
}

impl<R> std::ops::Deref for Caller<R> {
    type Target = Asker;

    fn deref(&self) -> &Asker {
        &self.asker
    }
}

impl<R: Right> FromRequestParts<App> for Caller<R> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        Ok(Self { asker: authenticate::<R>(parts, app).await?, right: PhantomData })
    }
}
