//! Pull: the daemon is the source of a session.

use std::sync::Arc;

use blit_proto::v2::PullRequest;
use tonic::{Status, Streaming};

use super::service::Shared;
use crate::auth::grant::Principal;
use crate::control::Chunks;

/// Opens the session of a client that pulls. Who that is has been checked; what they may read has not
/// ([`Shared::permit`] with the path in the header).
#[expect(
    clippy::unused_async,
    reason = "the session begins with what the client sends"
)]
pub(super) async fn open(
    _shared: &Arc<Shared>,
    _who: Principal,
    _requests: Streaming<PullRequest>,
) -> Result<Chunks, Status> {
    Err(Status::unimplemented(
        "this release of the daemon cannot be pulled from; push from the other side instead",
    ))
}
