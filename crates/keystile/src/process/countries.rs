//! Takes up the file of countries when it changes.

use std::sync::Arc;
use std::time::Duration;

use keystile_server::countries::CountryFile;
use keystile_server::enforce::engine::Engine;

/// Looks at the file as often as this, until the process ends. One that can't be used any more is complained about once.
pub(super) async fn reload_now_and_then(file: CountryFile, engine: Arc<Engine>, every: Duration) {
    let (mut file, mut said) = (file, String::new());
    loop {
        tokio::time::sleep(every).await;
        // It may be long, and the disk slow.
        let looking = tokio::task::spawn_blocking(move || {
            let found = file.reload();
            (file, found)
        });
        let Ok((back, found)) = looking.await else { return };
        file = back;
        match found {
            Ok(None) => {}
            Ok(Some(database)) => {
                engine.countries.follow(database);
                said.clear();
                tracing::info!("the file of countries had changed and is in force");
            }
            Err(fault) => {
                let complaint = fault.to_string();
                if complaint != said {
                    tracing::error!("{complaint}; what was in force of it stays in force");
                    said = complaint;
                }
            }
        }
    }
}
