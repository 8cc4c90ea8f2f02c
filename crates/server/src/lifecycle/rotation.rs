//! Reminders that a key should be rotated, where the owner of an API that it calls wants that.

use keystile_core::key::{KeyNotice, WARNING_DAYS};
use keystile_core::time::Timestamp;
use keystile_store::Due;
use keystile_store::records::Api;

use super::{BATCH, DAY_SECS, Lifecycle, Unfinished};

impl Lifecycle {
    pub(super) async fn remind_of_rotation(&self, api: &Api, now: Timestamp) -> Result<(), Unfinished> {
        let Some(rotate_days) = api.settings.rotate_key_days else { return Ok(()) };
        let age = i64::from(rotate_days) * DAY_SECS;
        // What is due, then each warning for those of which no shorter one applies.
        let mut after = Timestamp::from_secs(0);
        for days in [0].into_iter().chain(WARNING_DAYS.into_iter().rev()) {
            let lead = i64::from(days) * DAY_SECS;
            if age < 2 * lead {
                continue;
            }
            let until = now.plus_secs(lead - age);
            let notice = |due: &Due| {
                let due_at = due.moment.plus_secs(age);
                KeyNotice::RotationDue { version: due.version, due_at, days }
            };
            let kind = KeyNotice::RotationDue { version: 0, due_at: now, days }.identity().0;
            let made = (after, until);
            while self.note(&self.catalog.keys_made(api.number, made, kind, BATCH).await?, notice, now).await? {}
            after = until;
        }
        Ok(())
    }
}
