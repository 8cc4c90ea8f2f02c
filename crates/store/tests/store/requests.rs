//! The request log: calls are found by whatever is known of them, in an order that nobody misses one of, and forgotten by age, by
//! size and for a project.

use std::net::IpAddr;

use keystile_core::code::Code;
use keystile_core::id::RequestId;
use keystile_core::method::Method;
use keystile_core::restrict::{Rule, Rules};
use keystile_core::time::Timestamp;
use keystile_store::{
    KeptRequest, LabelRow, LoggedRequest, RequestDoor, RequestsAt, RequestsOf, RequestsPage, RequestsQuery,
};

use crate::erasure::files_with;
use crate::world::{NOW, World, bytes, everywhere};

const MINE: RequestsQuery = RequestsQuery::all(RequestsOf::Organization(1));

/// A call at a second after [`NOW`] of project 2 with key 3 at API 1.
pub fn request(secs: i64) -> LoggedRequest {
    LoggedRequest {
        id: RequestId::from_entropy(bytes()),
        at: NOW.plus_secs(secs),
        door: RequestDoor::Gateway,
        organization: 1,
        api: 1,
        project: 2,
        key: 3,
        label: 9,
        code: Code::Allowed,
        status: 200,
        method: Some(Method::Get),
        host: Some("api.example.com".to_owned()),
        path: Some("/pets/1".to_owned()),
        client: Some([192, 0, 2, 7].into()),
        user_agent: Some("curl/8".to_owned()),
        shadow: Rules::NONE,
        latency_us: 1_500,
        upstream_us: Some(900),
        bytes_in: 1,
        bytes_out: 2,
        trace: Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned()),
    }
}

async fn log(world: &World, requests: &[LoggedRequest]) -> u64 {
    world.ledger.log_requests(NOW, requests).await.unwrap()
}

async fn page(world: &World, query: &RequestsQuery, before: Option<RequestsAt>, limit: u32) -> RequestsPage {
    world.ledger.requests(query, (None, None), before, limit).await.unwrap()
}

async fn found(world: &World, query: &RequestsQuery) -> Vec<i64> {
    let page = page(world, query, None, 100).await;
    assert_eq!(page.next, None);
    seconds(&page.requests)
}

fn seconds(requests: &[KeptRequest]) -> Vec<i64> {
    requests.iter().map(|kept| kept.request.at.as_secs() - NOW.as_secs()).collect()
}

#[tokio::test]
async fn a_call_is_read_as_it_was_written_once_and_under_its_label() {
    everywhere(async |world| {
        let label = LabelRow { number: 9, api: 1, text: "GET /pets/{id}".to_owned() };
        world.ledger.append(1, 1, NOW, &[label], &[]).await.unwrap();
        let bare = LoggedRequest {
            door: RequestDoor::Verification,
            api: 0,
            project: 0,
            key: 0,
            label: 1,
            code: Code::KeyUnknown,
            status: 401,
            method: None,
            host: None,
            path: None,
            client: Some("2001:db8::1".parse().unwrap()),
            user_agent: None,
            shadow: Rules::NONE.and(Rule::Networks).and(Rule::RateLimits),
            upstream_us: None,
            trace: None,
            ..request(1)
        };
        let nowhere = LoggedRequest { client: None, ..request(2) };
        let all = [request(0), bare, nowhere];
        assert_eq!(world.ledger.last_request().await.unwrap(), 0);
        // Told again, because nobody knew whether it had arrived, it is written once.
        for _ in 0..2 {
            assert_eq!(log(world, &all).await, 3);
        }
        assert_eq!(log(world, &[]).await, 3);
        let read = page(world, &MINE, None, 9).await.requests;
        assert_eq!(read.iter().map(|kept| kept.sequence).collect::<Vec<_>>(), [3, 2, 1]);
        for (kept, written) in read.iter().rev().zip(&all) {
            assert_eq!(kept.request, *written);
            assert_eq!(world.ledger.request(written.id).await.unwrap().as_ref(), Some(kept));
        }
        assert_eq!(read[2].operation.as_deref(), Some("GET /pets/{id}"));
        assert_eq!(world.ledger.request(RequestId::from_entropy(bytes())).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_text_with_a_nul_holds_up_nobody() {
    everywhere(async |world| {
        let strange = LoggedRequest { user_agent: Some("a\0b".to_owned()), ..request(0) };
        log(world, &[strange, request(1)]).await;
        let read = page(world, &MINE, None, 9).await.requests;
        assert_eq!(read[1].request.user_agent.as_deref(), Some("a\u{fffd}b"));
    })
    .await;
}

#[tokio::test]
async fn a_call_is_found_by_whatever_is_known_of_it() {
    everywhere(async |world| {
        let label = |number, text: &str| LabelRow { number, api: 1, text: text.to_owned() };
        world.ledger.append(1, 1, NOW, &[label(9, "GET /pets/{id}"), label(10, "POST /pets")], &[]).await.unwrap();
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let refused = LoggedRequest {
            code: Code::RateLimited,
            status: 429,
            method: Some(Method::Post),
            path: Some("/Pets/ümlaut/2".to_owned()),
            client: Some(address("2001:db8::7")),
            label: 10,
            ..request(1)
        };
        let verified = LoggedRequest { door: RequestDoor::Verification, path: None, api: 4, ..request(2) };
        let missing = LoggedRequest { status: 404, client: Some(address("192.0.3.7")), key: 5, ..request(3) };
        let id = missing.id;
        let theirs = LoggedRequest { organization: 2, project: 6, key: 7, ..request(4) };
        let abroad = LoggedRequest { organization: 2, api: 8, ..request(5) };
        log(world, &[request(0), refused, verified, missing, theirs, abroad]).await;
        assert_eq!(found(world, &MINE).await, [3, 2, 1, 0], "what is another organization's is not");
        let of = RequestsQuery::all;
        let clients = |from: &str, until: &str| Some((address(from), address(until)));
        for (query, wanted) in [
            (of(RequestsOf::Organization(2)), vec![5, 4]),
            (of(RequestsOf::Organization(3)), vec![]),
            (of(RequestsOf::Project(2)), vec![5, 3, 2, 1, 0]),
            (of(RequestsOf::Key(3)), vec![5, 2, 1, 0]),
            (RequestsQuery { project: Some(6), ..of(RequestsOf::Key(3)) }, vec![]),
            (RequestsQuery { api: Some(8), ..of(RequestsOf::Project(2)) }, vec![5]),
            (RequestsQuery { api: Some(4), ..MINE }, vec![2]),
            (RequestsQuery { code: Some(Code::RateLimited), ..MINE }, vec![1]),
            (RequestsQuery { status: Some((404, 404)), ..MINE }, vec![3]),
            (RequestsQuery { status: Some((400, 499)), ..MINE }, vec![3, 1]),
            (RequestsQuery { method: Some(Method::Post), ..MINE }, vec![1]),
            (RequestsQuery { path: Some("/pets/1".to_owned()), ..MINE }, vec![3, 0]),
            (RequestsQuery { path: Some("/pets/%".to_owned()), ..MINE }, vec![]),
            (RequestsQuery { path: Some("/Pets/ü".to_owned()), ..MINE }, vec![1]),
            (RequestsQuery { operation: Some("POST /pets".to_owned()), ..MINE }, vec![1]),
            (RequestsQuery { clients: clients("192.0.2.7", "192.0.2.7"), ..MINE }, vec![2, 0]),
            (RequestsQuery { clients: clients("192.0.2.0", "192.0.3.255"), ..MINE }, vec![3, 2, 0]),
            (RequestsQuery { clients: clients("2001:db8::", "2001:db8::ffff"), ..MINE }, vec![1]),
            (RequestsQuery { door: Some(RequestDoor::Verification), ..MINE }, vec![2]),
            (RequestsQuery { status: Some((404, 404)), method: Some(Method::Post), ..MINE }, vec![]),
            (of(RequestsOf::Request(id)), vec![3]),
            (RequestsQuery { key: Some(5), project: Some(2), ..of(RequestsOf::Request(id)) }, vec![3]),
            (RequestsQuery { key: Some(3), ..of(RequestsOf::Request(id)) }, vec![]),
        ] {
            assert_eq!(found(world, &query).await, wanted, "{query:?}");
            let after = world.ledger.requests_after(&query, (0, 6), 100).await.unwrap();
            let forwards: Vec<i64> = wanted.into_iter().rev().collect();
            assert_eq!(seconds(&after), forwards, "as they came: {query:?}");
        }
        let span = |from: i64, until: i64| (Some(NOW.plus_secs(from)), Some(NOW.plus_secs(until)));
        let some = world.ledger.requests(&MINE, span(1, 3), None, 9).await.unwrap();
        assert_eq!(seconds(&some.requests), [2, 1]);
        let after = world.ledger.requests_after(&MINE, (1, 3), 100).await.unwrap();
        assert_eq!(seconds(&after), [1, 2], "none of those before, none of those beyond");
        assert_eq!(world.ledger.requests_after(&MINE, (0, 6), 2).await.unwrap().len(), 2);
    })
    .await;
}

/// Many, of which one in so many is refused; two of each second.
async fn many(world: &World, calls: i64, one_in: i64) {
    let refused = |n: i64| LoggedRequest { code: Code::RateLimited, status: 429, ..request(n / 2) };
    let all: Vec<_> = (0..calls).map(|n| if n % one_in == 7 { refused(n) } else { request(n / 2) }).collect();
    for some in all.chunks(900) {
        log(world, some).await;
    }
}

#[tokio::test]
async fn pages_follow_each_other_however_few_are_meant() {
    everywhere(async |world| {
        many(world, 45_000, 9_000).await;
        for (query, limit) in [
            (MINE, 7_000),
            (RequestsQuery { code: Some(Code::RateLimited), ..MINE }, 2),
            (RequestsQuery { code: Some(Code::RateLimited), ..RequestsQuery::all(RequestsOf::Key(3)) }, 100),
        ] {
            let (mut before, mut all, mut last) = (None, 0, None);
            loop {
                let page = page(world, &query, before, limit).await;
                for kept in &page.requests {
                    let place = RequestsAt { at: kept.request.at, sequence: kept.sequence };
                    assert!(last.is_none_or(|last| place < last), "newest first, none of them twice");
                    last = Some(place);
                }
                all += page.requests.len();
                match page.next {
                    Some(next) => before = Some(next),
                    None => break,
                }
            }
            assert_eq!(all, if query == MINE { 45_000 } else { 5 }, "{query:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn calls_are_forgotten_by_age_and_by_size_the_oldest_first() {
    everywhere(async |world| {
        let ledger = &world.ledger;
        for hour in 0..6 {
            let at = NOW.plus_secs(hour * 3_600);
            let all: Vec<_> = (0..1_200).map(|n| request(hour * 3_600 + n / 2)).collect();
            for some in all.chunks(600) {
                ledger.log_requests(at, some).await.unwrap();
            }
        }
        let count = async || ledger.requests(&MINE, (None, None), None, 10_000).await.unwrap().requests.len();
        assert_eq!(ledger.forget_requests(None, None).await.unwrap(), 0);
        assert_eq!(ledger.forget_requests(Some(NOW), None).await.unwrap(), 0, "they are not older than that");
        let before = NOW.plus_secs(2 * 3_600);
        assert_eq!(ledger.forget_requests(Some(before), None).await.unwrap(), 2_400);
        assert_eq!(count().await, 4_800);
        let oldest = ledger.requests_after(&MINE, (0, u64::MAX >> 1), 1).await.unwrap();
        assert_eq!(oldest[0].request.at, before);
        // Each is of about the same size, so half of the size is half of them, to a part.
        assert_eq!(ledger.forget_requests(None, Some(2_400 * 320)).await.unwrap(), 2_400);
        assert_eq!(count().await, 2_400);
        assert_eq!(ledger.forget_requests(None, Some(0)).await.unwrap(), 2_400);
        assert_eq!(count().await, 0);
        // Sequences go on where they were: whoever follows them misses none.
        assert_eq!(ledger.last_request().await.unwrap(), 7_200);
        assert_eq!(log(world, &[request(0)]).await, 7_201);
    })
    .await;
}

#[tokio::test]
async fn k43_the_calls_of_an_erased_project_are_nowhere_and_leave_their_room() {
    everywhere(async |world| {
        let theirs = LoggedRequest { project: 4, ..request(0) };
        let marked = LoggedRequest {
            path: Some("/zaphod-was-here".to_owned()),
            user_agent: Some("zaphods-browser".to_owned()),
            ..request(1)
        };
        let abroad = LoggedRequest { organization: 2, ..marked.clone() };
        let abroad = LoggedRequest { id: RequestId::from_entropy(bytes()), ..abroad };
        let mut all: Vec<_> = (0..2_500).map(request).collect();
        all.extend([theirs, marked, abroad]);
        for some in all.chunks(700) {
            log(world, some).await;
        }
        assert_eq!(world.ledger.forget_requests_of(2).await.unwrap(), 2_502);
        assert_eq!(world.ledger.forget_requests_of(2).await.unwrap(), 0);
        for text in ["zaphod-was-here", "zaphods-browser"] {
            assert_eq!(files_with(world, text), Vec::<String>::new(), "{text}");
        }
        assert_eq!(found(world, &MINE).await, [0], "others' are as they were");
        assert_eq!(found(world, &RequestsQuery::all(RequestsOf::Organization(2))).await, [0_i64; 0]);
        // What they took is free: one small call fits where two thousand were.
        assert_eq!(world.ledger.forget_requests(None, Some(1_000)).await.unwrap(), 0);
        assert_eq!(world.ledger.forget_requests(None, Some(100)).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn whoever_follows_the_log_misses_nothing_that_is_written_meanwhile() {
    everywhere(async |world| {
        let writers = (0..4).map(|_| {
            let ledger = world.ledger.clone();
            tokio::spawn(async move {
                for _ in 0..25 {
                    ledger.log_requests(NOW, &[request(0), request(0)]).await.unwrap();
                }
            })
        });
        let writers: Vec<_> = writers.collect();
        let (mut last, mut seen) = (0, 0);
        while seen < 200 {
            let newest = world.ledger.last_request().await.unwrap();
            let some = world.ledger.requests_after(&MINE, (last, newest), 1_000).await.unwrap();
            assert_eq!(some.len() as u64, newest - last, "what is told to be there is there");
            (last, seen) = (newest, seen + some.len());
        }
        for writer in writers {
            writer.await.unwrap();
        }
        assert_eq!(last, 200);
    })
    .await;
}

#[tokio::test]
async fn a_clock_that_is_set_back_keeps_nothing_for_longer() {
    everywhere(async |world| {
        let ledger = &world.ledger;
        let later = Timestamp::from_secs(NOW.as_secs() + 400 * 86_400);
        ledger.log_requests(later, &[request(0)]).await.unwrap();
        ledger.log_requests(NOW, &[request(1)]).await.unwrap();
        assert_eq!(ledger.forget_requests(Some(NOW.plus_secs(7_200)), None).await.unwrap(), 1);
        assert_eq!(found(world, &MINE).await, [0]);
    })
    .await;
}
