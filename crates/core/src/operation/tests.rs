use proptest::prelude::*;

use super::*;
use crate::target::TargetError;

fn table(operations: &[&str]) -> OperationTable {
    let operations = operations.iter().map(|operation| {
        let (method, path) = operation.split_once(' ').expect("method and path");
        (method.parse().expect("a method"), path)
    });
    OperationTable::build(operations).expect("a sound list")
}

#[track_caller]
fn finds(table: &OperationTable, calls: &[(&str, Option<&str>)]) {
    for (call, expected) in calls {
        let (method, path) = call.split_once(' ').expect("method and path");
        let found = table.find(method.parse().expect("a method"), path).map(|found| &**table.label(found));
        assert_eq!(found, *expected, "{call}");
    }
}

#[test]
fn a_call_belongs_to_the_operation_that_documents_it() {
    let pets =
        table(&["GET /", "GET /pets", "POST /pets", "GET /pets/{id}", "DELETE /pets/{id}", "GET /pets/{id}/toys"]);
    finds(
        &pets,
        &[
            ("GET /", Some("GET /")),
            ("GET /pets", Some("GET /pets")),
            ("POST /pets", Some("POST /pets")),
            ("PUT /pets", None),
            ("GET /pets/7", Some("GET /pets/{id}")),
            ("GET /pets/%C3%A9%20x", Some("GET /pets/{id}")),
            ("GET /pets/7/toys", Some("GET /pets/{id}/toys")),
            ("GET /pets/7/toys/1", None),
            ("GET /Pets", None),
            ("HEAD /pets", None),
            ("GET /cats", None),
        ],
    );
    assert_eq!(pets.len(), 6);
}

#[test]
fn a_trailing_slash_is_a_path_of_its_own() {
    finds(
        &table(&["GET /a", "GET /b/", "GET /c/{id}"]),
        &[
            ("GET /a", Some("GET /a")),
            ("GET /a/", None),
            ("GET /b", None),
            ("GET /b/", Some("GET /b/")),
            ("GET /c/", None),
            ("GET /c/1/", None),
            ("GET /", None),
        ],
    );
}

#[test]
fn concrete_comes_before_templated_wherever_it_is_written() {
    let templated_first = ["GET /u/{id}", "GET /u/{id}.json", "GET /u/me", "GET /u/{a}.{b}", "GET /u/v{n}.json"];
    let mut concrete_first = templated_first;
    concrete_first.reverse();
    for order in [templated_first, concrete_first] {
        finds(
            &table(&order),
            &[
                ("GET /u/me", Some("GET /u/me")),
                ("GET /u/you", Some("GET /u/{id}")),
                ("GET /u/you.json", Some("GET /u/{id}.json")),
                ("GET /u/v1.json", Some("GET /u/v{n}.json")),
                ("GET /u/v.json", Some("GET /u/{id}.json")),
                ("GET /u/you.xml", Some("GET /u/{a}.{b}")),
            ],
        );
    }
}

#[test]
fn a_concrete_way_that_leads_nowhere_is_left_again() {
    let both =
        table(&["GET /u/me/keys", "GET /u/{id}/rights", "PUT /u/{id}/keys", "GET /u/m{rest}/x", "GET /{a}/{b}/{c}"]);
    finds(
        &both,
        &[
            ("GET /u/me/keys", Some("GET /u/me/keys")),
            ("GET /u/me/rights", Some("GET /u/{id}/rights")),
            ("PUT /u/me/keys", Some("PUT /u/{id}/keys")),
            ("GET /u/me/x", Some("GET /u/m{rest}/x")),
            ("GET /u/me/y", Some("GET /{a}/{b}/{c}")),
            ("PUT /u/me/y", None),
        ],
    );
}

#[test]
fn a_segment_may_be_literal_in_part() {
    let compare = table(&[
        "GET /compare/{base}...{head}",
        "GET /tiles/{z}-{x}-{y}.png",
        "GET /v{major}/x",
        "GET /pairs/{a}{b}",
        "GET /digits/{a}0",
        "GET /middle/{a}AA{b}",
    ]);
    finds(
        &compare,
        &[
            ("GET /compare/main...next", Some("GET /compare/{base}...{head}")),
            ("GET /compare/a....b", Some("GET /compare/{base}...{head}")),
            ("GET /compare/main..next", None),
            ("GET /compare/...next", None),
            ("GET /tiles/1-2-3.png", Some("GET /tiles/{z}-{x}-{y}.png")),
            ("GET /tiles/1-2-3-4.png.png", Some("GET /tiles/{z}-{x}-{y}.png")),
            ("GET /tiles/1-2.png", None),
            ("GET /tiles/--.png", None),
            ("GET /v2/x", Some("GET /v{major}/x")),
            ("GET /v/x", None),
            ("GET /pairs/ab", Some("GET /pairs/{a}{b}")),
            ("GET /pairs/a", None),
            ("GET /pairs/%C3%A9", Some("GET /pairs/{a}{b}")),
            ("GET /pairs/%20", None),
            ("GET /digits/10", Some("GET /digits/{a}0")),
            ("GET /digits/x%20", None),
            ("GET /middle/x%20AAy", Some("GET /middle/{a}AA{b}")),
            ("GET /middle/%EAAAy", Some("GET /middle/{a}AA{b}")),
            ("GET /middle/%AAAy", None),
        ],
    );
}

#[test]
fn escapes_compare_in_canonical_form() {
    let escaped = table(&["GET /a b/größe", "GET /items[]", "GET /%7Eme/{id}%c3%a9"]);
    finds(
        &escaped,
        &[
            ("GET /a%20b/gr%C3%B6%C3%9Fe", Some("GET /a b/größe")),
            ("GET /items%5B%5D", Some("GET /items[]")),
            ("GET /~me/1%C3%A9", Some("GET /%7Eme/{id}%c3%a9")),
        ],
    );
}

#[test]
fn a_path_that_is_no_template_is_refused_with_its_reason() {
    for (path, problem) in [
        ("", TemplateError::NoSlash),
        ("pets", TemplateError::NoSlash),
        ("/{id", TemplateError::Braces),
        ("/id}", TemplateError::Braces),
        ("/{a/b}", TemplateError::Braces),
        ("/{a{b}}", TemplateError::Braces),
        ("/{}", TemplateError::NoName),
        ("/{ }", TemplateError::NoName),
        ("/a?b=1", TemplateError::Query),
        ("/a#b", TemplateError::Query),
        ("/a//b", TemplateError::EmptySegment),
        ("/a//", TemplateError::EmptySegment),
        ("/a\u{FFFF}", TemplateError::Noncharacter),
        ("/{a}%ef%bf%bf", TemplateError::Noncharacter),
        ("/../a", TemplateError::Unreachable(TargetError::DotSegment)),
        ("/{a}.", TemplateError::Unreachable(TargetError::TrailingDot)),
        ("/a;v={b}", TemplateError::Unreachable(TargetError::PathParameter)),
        ("/a%2Fb", TemplateError::Unreachable(TargetError::EscapedSeparator)),
        ("/100%", TemplateError::Unreachable(TargetError::BrokenEscape)),
        ("/a\\b", TemplateError::Unreachable(TargetError::EscapedSeparator)),
    ] {
        assert_eq!(PathTemplate::parse(path), Err(problem), "{path:?}");
        let refused = OperationTable::build([(Method::Get, path)]).map(|table| table.len());
        assert_eq!(refused, Err(OperationsError::Template { path: path.to_owned(), problem }));
    }
    assert!(PathTemplate::parse(&format!("/{}", "a".repeat(MAX_TEMPLATE_BYTES - 1))).is_ok());
    assert_eq!(PathTemplate::parse(&format!("/{}", "a".repeat(MAX_TEMPLATE_BYTES))), Err(TemplateError::TooLong));
}

#[test]
fn two_operations_that_the_same_calls_reach_are_refused() {
    for (first, second) in [("/a", "/a"), ("/a/{b}", "/a/{c}"), ("/{x}...{y}", "/{base}...{head}"), ("/%61", "/a")] {
        let refused = OperationTable::build([(Method::Get, first), (Method::Get, second)]).map(|table| table.len());
        let duplicate = OperationsError::Duplicate { first: format!("GET {first}"), second: format!("GET {second}") };
        assert_eq!(refused, Err(duplicate));
        assert!(OperationTable::build([(Method::Get, first), (Method::Put, second)]).is_ok());
    }
}

#[test]
fn an_api_has_a_largest_number_of_operations() {
    let paths = |count| (0..count).map(|number| (Method::Get, format!("/{number}")));
    let largest = OperationTable::build(paths(MAX_OPERATIONS)).expect("just enough");
    assert_eq!(largest.find(Method::Get, "/9999").map(OperationIndex::to_usize), Some(9999));
    assert_eq!(OperationTable::build(paths(MAX_OPERATIONS + 1)).err(), Some(OperationsError::TooMany));
}

#[test]
fn without_a_document_the_first_two_segments_name_a_call() {
    for (path, label) in [
        ("/", "GET /"),
        ("/a", "GET /a"),
        ("/a/", "GET /a"),
        ("/a/b", "GET /a/b"),
        ("/a/b/", "GET /a/b"),
        ("/a/b/c", "GET /a/b/*"),
        ("/a/b/c/", "GET /a/b/*"),
        ("/a/b/c/d/e", "GET /a/b/*"),
        ("/%C3%A9/b%20c/d", "GET /%C3%A9/b%20c/*"),
        // What may be a key is not kept.
        ("/a/ks_live_0123456789abcdefghijklmnopqrstuvKSTL000000", "GET /a/*"),
        ("/sk_imported_9f8e7d6c5b4a39281706f5e4d3c2b1a0/b", "GET /*/b"),
        ("/a/0123456789abcdefghij/c", "GET /a/*/*"),
        ("/a/x:0123456789abcdefghij", "GET /a/*"),
        ("/a/order-confirmations-of-2027", "GET /a/order-confirmations-of-2027"),
        ("/a/quarterly_report_of_2027_q1", "GET /a/quarterly_report_of_2027_q1"),
        ("/a/international_standards", "GET /a/international_standards"),
        ("/a/12345678901234567890", "GET /a/12345678901234567890"),
    ] {
        let mut out = String::new();
        segments_label(Method::Get, path, &mut out);
        assert_eq!(out, label);
    }
}

/// The slow reference: every operation is compared with every call, segment by segment, and the most literal wins.
mod reference {
    use std::cmp::Reverse;

    use super::*;

    pub(super) fn find(operations: &[(Method, String)], method: Method, path: &str) -> Option<usize> {
        let fitting = operations.iter().enumerate().filter(|(_, (known, template))| {
            let (templates, segments) = (template.split('/'), path.split('/'));
            *known == method
                && templates.clone().count() == segments.clone().count()
                && templates.zip(segments).all(|(template, segment)| fits(template, segment))
        });
        fitting.min_by_key(|(_, (_, template))| template.split('/').map(rank).collect::<Vec<_>>()).map(|(at, _)| at)
    }

    fn fits(template: &str, segment: &str) -> bool {
        match template.split_once('{') {
            None => template == segment,
            Some((before, rest)) => {
                let (_, after) = rest.split_once('}').expect("closed");
                let Some(segment) = segment.strip_prefix(before) else { return false };
                (1..=segment.len()).any(|taken| fits(after, &segment[taken..]))
            }
        }
    }

    /// Literal, then the more of it is literal, then a parameter alone; ties in the order of the pieces.
    fn rank(template: &str) -> (u8, Reverse<usize>, Vec<(u8, &str)>) {
        let mut pieces = Vec::new();
        for (index, literal) in template.split("{p}").enumerate() {
            if index > 0 {
                pieces.push((1, ""));
            }
            if !literal.is_empty() {
                pieces.push((0, literal));
            }
        }
        let kind = match pieces[..] {
            [] | [(0, _)] => 0,
            [(_, _)] => 2,
            _ => 1,
        };
        (kind, Reverse(pieces.iter().map(|(_, literal)| literal.len()).sum()), pieces)
    }
}

fn templates() -> impl Strategy<Value = Vec<(Method, String)>> {
    let piece = prop::sample::select(vec![
        "{p}",
        "{p}",
        "{p}",
        "a",
        "b",
        "ab",
        "a{p}",
        "{p}b",
        "{p}a{p}",
        "{p}ab{p}b",
        "b{p}a",
    ]);
    let path = prop::collection::vec(piece, 1..4).prop_map(|pieces| format!("/{}", pieces.join("/")));
    let method = prop::sample::select(vec![Method::Get, Method::Put]);
    prop::collection::vec((method, path), 1..24).prop_map(|mut operations| {
        let mut seen = std::collections::HashSet::new();
        operations.retain(|operation| seen.insert(operation.clone()));
        operations
    })
}

proptest! {
    #[test]
    fn the_table_finds_what_a_slow_search_finds(
        operations in templates(),
        paths in prop::collection::vec("(/[ab]{1,5}){1,4}/?", 1..40),
    ) {
        let table = OperationTable::build(operations.iter().map(|(method, path)| (*method, path))).expect("all differ");
        for path in &paths {
            for method in [Method::Get, Method::Put, Method::Post] {
                let found = table.find(method, path).map(OperationIndex::to_usize);
                let expected = reference::find(&operations, method, path);
                prop_assert_eq!(found, expected, "{} {} in {:?}", method, path, operations);
            }
        }
    }

    #[test]
    fn no_text_makes_matching_panic(template in "/[{}a%é/.]{0,12}", path in ".{0,24}") {
        let _ = PathTemplate::parse(&template);
        let table = OperationTable::build([(Method::Get, "/{a}b{c}"), (Method::Get, "/{a}/{b}é{c}")]).expect("sound");
        let _ = table.find(Method::Get, &path);
        let _ = table.find(Method::Get, &format!("/{path}"));
        segments_label(Method::Get, &path, &mut String::new());
    }
}

#[test]
fn what_is_not_documented_is_told_apart_without_ids() {
    for (path, label) in [
        ("/", "GET /"),
        ("/dogs", "GET /dogs"),
        ("/dogs/17", "GET /dogs/*"),
        ("/dogs/17/name", "GET /dogs/*/*"),
        ("/v1/dogs", "GET /v1/dogs"),
        ("/0123456789012345678901234567890123", "GET /*"),
    ] {
        let mut text = String::new();
        undocumented_label(Method::Get, path, &mut text);
        assert_eq!(text, label, "{path}");
    }
}
