//! Promises of letters on their way, held against a mail server that keeps what it gets.

use keystile_core::time::{Moment, Ticks, Timestamp};
use keystile_testkit::{Postbox, eventually};

use super::*;
use crate::world::NoEntropy;

struct Standing;

impl Clock for Standing {
    fn now(&self) -> Moment {
        Moment { wall: Timestamp::from_secs(1_800_000_000), ticks: Ticks::from_nanos(1 << 60) }
    }
}

impl Entropy for Standing {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        bytes.iter_mut().zip(1..).for_each(|(byte, n)| *byte = n);
        Ok(())
    }
}

fn mailer(url: &str) -> Mailer {
    let server = Box::new(url.parse().unwrap());
    let means = Means::Server(server, "Keys <keys@example.com>".parse().unwrap());
    Mailer::new(means, Arc::new(Standing), Arc::new(Standing)).unwrap()
}

fn letter(to: &str) -> Letter {
    let link = "https://keys.example.com/enter#signin_live_canary".to_owned();
    Letter { to: to.parse().unwrap(), about: About::SignIn { link, minutes: 15 } }
}

/// What the metrics say of an outcome.
fn count(mailer: &Mailer, outcome: &str) -> u64 {
    let tally = &mailer.tally;
    let figure = match outcome {
        "sent" => &tally.sent,
        "failed" => &tally.failed,
        "dropped" => &tally.dropped,
        _ => &tally.no_server,
    };
    figure.load(Ordering::Relaxed)
}

async fn until(what: &'static str, holds: impl FnMut() -> bool + Send + 'static) {
    tokio::task::spawn_blocking(move || eventually(what, holds)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_arrives_with_its_link_from_whom_the_settings_say() {
    let postbox = Arc::new(Postbox::start());
    postbox.offer(&["AUTH PLAIN"]);
    let mailer = Arc::new(mailer(&format!("smtp://u:p%40w@{}", postbox.address)));
    mailer.send(&letter("ada@example.com"));
    let its = mailer.clone();
    until("it is sent", move || count(&its, "sent") == 1).await;
    let posted = postbox.letters("ada@example.com", 1).remove(0);
    assert_eq!((posted.from.as_str(), posted.field("from")), ("keys@example.com", Some("Keys <keys@example.com>")));
    assert_eq!(posted.link().as_deref(), Some("https://keys.example.com/enter#signin_live_canary"));
    assert_eq!(posted.field("date"), Some("Fri, 15 Jan 2027 08:00:00 +0000"));
    assert!(postbox.heard().iter().any(|line| line.starts_with("AUTH PLAIN ")), "{:?}", postbox.heard());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_for_now_is_tried_again_and_what_is_refused_for_good_is_not() {
    let postbox = Arc::new(Postbox::start());
    let mailer = Arc::new(mailer(&format!("smtp://{}", postbox.address)));
    postbox.refuse(&["451 later, ada@example.com"]);
    mailer.send(&letter("ada@example.com"));
    let its = mailer.clone();
    until("it is sent", move || count(&its, "sent") == 1).await;
    postbox.refuse(&["550 never"]);
    mailer.send(&letter("bob@example.com"));
    let its = mailer.clone();
    until("it is given up", move || count(&its, "failed") == 1).await;
    assert_eq!(postbox.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c07_a_server_elsewhere_hears_nothing_in_clear() {
    // The address of everything on this machine stands for a server elsewhere: it is none of loopback.
    let postbox = Arc::new(Postbox::start());
    let mailer = mailer(&format!("smtp://u:canary@0.0.0.0:{}", postbox.address.port()));
    mailer.send(&letter("ada@example.com"));
    let its = postbox.clone();
    until("it was tried", move || !its.heard().is_empty()).await;
    mailer.end().await;
    let heard = postbox.heard();
    assert!(heard.iter().all(|line| line.starts_with("EHLO ") || line == "QUIT"), "{heard:?}");
}

#[tokio::test]
async fn letters_that_wait_are_bounded() {
    // Nobody takes a turn, so that all of them wait.
    let mailer = mailer("smtp://127.0.0.1:9");
    let _turns = mailer.turns.acquire_many(AT_ONCE as u32).await.unwrap();
    for _ in 0..MAX_WAITING + 7 {
        mailer.send(&letter("ada@example.com"));
    }
    assert_eq!((count(&mailer, "dropped"), mailer.room.available_permits()), (7, 0));
}

#[tokio::test]
async fn without_a_server_nothing_is_sent_and_that_is_counted() {
    let mailer = Mailer::new(Means::Nothing, Arc::new(Standing), Arc::new(Standing)).unwrap();
    mailer.send(&letter("ada@example.com"));
    assert_eq!((count(&mailer, "no_server"), mailer.is_of_use()), (1, false));
    let mailer = Mailer::new(Means::Log, Arc::new(Standing), Arc::new(Standing)).unwrap();
    mailer.send(&letter("ada@example.com"));
    assert_eq!((count(&mailer, "no_server"), mailer.is_of_use()), (0, true));
}
