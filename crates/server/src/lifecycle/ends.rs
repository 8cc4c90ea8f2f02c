//! Keys that are about to end or have ended, and former versions that have.

use keystile_core::key::{KeyNotice, WARNING_DAYS};
use keystile_core::time::Timestamp;
use keystile_store::Due;

use super::{BATCH, DAY_SECS, Lifecycle, Unfinished};

/// For how long after an end it is still told, if the server was not there when it came.
const LATE_SECS: i64 = 7 * DAY_SECS;

impl Lifecycle {
    pub(super) async fn tell_of_ends(&self, now: Timestamp) -> Result<(), Unfinished> {
        // The shortest warning that applies is the one that is given.
        let mut from = now;
        for days in WARNING_DAYS.into_iter().rev() {
            let lead = i64::from(days) * DAY_SECS;
            let until = now.plus_secs(lead);
            self.tell((from, until), 2 * lead, now, |ends_at| KeyNotice::Expiring { ends_at, days }).await?;
            from = until;
        }
        let span = (now.plus_secs(-LATE_SECS), now);
        self.tell(span, 0, now, |ended_at| KeyNotice::Expired { ended_at }).await?;

        let kind = KeyNotice::VersionEnded { version: 0, ended_at: now }.identity().0;
        let notice = |due: &Due| KeyNotice::VersionEnded { version: due.version, ended_at: due.moment };
        while self.note(&self.catalog.versions_ended(span, kind, BATCH).await?, notice, now).await? {}
        Ok(())
    }

    async fn tell(
        &self,
        span: (Timestamp, Timestamp),
        least_life_secs: i64,
        now: Timestamp,
        notice: impl Fn(Timestamp) -> KeyNotice,
    ) -> Result<(), Unfinished> {
        let kind = notice(now).identity().0;
        let notice = |due: &Due| notice(due.moment);
        while self.note(&self.catalog.keys_ending(span, least_life_secs, kind, BATCH).await?, notice, now).await? {}
        Ok(())
    }
}
