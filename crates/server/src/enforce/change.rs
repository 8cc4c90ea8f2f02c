//! Making a change: applied, and in force on this node and on whoever follows it before anybody is answered.

use std::sync::Arc;

use keystile_core::time::Ticks;
use keystile_store::{Applied, ApplyError, Author, Change, Conditions, StoreError};
use tokio::task::JoinError;

use super::feed::Feed;

/// Why a change was not made.
#[derive(Debug)]
pub enum NotMade {
    /// Another process makes changes now.
    Elsewhere,
    /// The catalogue did not make it.
    Refused(ApplyError),
}

impl From<ApplyError> for NotMade {
    fn from(error: ApplyError) -> Self {
        Self::Refused(error)
    }
}

impl Feed {
    /// Makes a change; when this returns it is durable and in force. It is finished even if whoever wanted it goes away
    /// meanwhile.
    ///
    /// # Errors
    /// [`NotMade`] says why nothing was changed.
    pub async fn make(self: &Arc<Self>, author: Author, change: Change, now: Ticks) -> Result<Applied, NotMade> {
        self.make_if(Conditions::default(), author, change, now).await
    }

    /// The same on conditions.
    ///
    /// # Errors
    /// [`NotMade`] says why nothing was changed.
    pub async fn make_if(
        self: &Arc<Self>,
        conditions: Conditions,
        author: Author,
        change: Change,
        now: Ticks,
    ) -> Result<Applied, NotMade> {
        if !self.makers.are_here().await {
            return Err(NotMade::Elsewhere);
        }
        // Known to be in vain; without this, whoever asks would wait as long as the store does, and others behind.
        if let Some(trouble) = self.engine().news.trouble(now) {
            return Err(ApplyError::from(StoreError::known(trouble.fault, trouble.why)).into());
        }
        // A task of its own: a client that goes away between the commit and the snapshot would leave a revoked key
        // in force until the next change.
        let feed = self.clone();
        let task = tokio::spawn(async move {
            let changing = async {
                let applied = feed.catalog().apply_if(&conditions, &author, change).await?;
                if conditions.dry_run {
                    return Ok(applied);
                }
                feed.catch_up(applied.revision).await?;
                feed.lead(applied.revision).await;
                Ok(applied)
            };
            let changed = changing.await;
            if let Err(ApplyError::Store(_)) = changed {
                feed.failed();
            }
            changed
        });
        let done = task.await.unwrap_or_else(|error: JoinError| Err(ApplyError::Store(StoreError(error.into()))));
        done.map_err(NotMade::Refused)
    }
}
