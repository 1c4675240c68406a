//! The index finds exactly the rules that the plain evaluator finds, whatever rules come and go and whatever events
//! look like; and no bytes make the pattern parser panic.
//!
//! `TIDEMILL_FUZZ_SECONDS` lets each search run longer than the default of a second or two.

#[path = "matching/random.rs"]
mod random;

use std::collections::BTreeMap;

use arbtest::arbitrary::Unstructured;
use tidemill::matching::{Index, Scratch, reference};
use tidemill::pattern::Pattern;

use random::{object, pattern, pick, plain_pattern};

fn budget_ms(default: u64) -> u64 {
    std::env::var("TIDEMILL_FUZZ_SECONDS").ok().and_then(|s| s.parse::<u64>().ok()).map_or(default, |s| s * 1000)
}

#[test]
fn index_is_the_reference_while_rules_come_and_go() {
    let property = |u: &mut Unstructured| {
        let mut index = Index::new();
        let mut rules: BTreeMap<u32, (String, Pattern)> = BTreeMap::new();
        let (mut scratch, mut found) = (Scratch::default(), Vec::new());
        let handles = u.int_in_range(1..=80)?;
        for _ in 0..u.int_in_range(1..=6)? {
            for _ in 0..u.int_in_range(0..=60)? {
                let handle = u.int_in_range(0..=handles)?;
                if u.ratio(1, 4)? {
                    assert_eq!(index.remove(handle), rules.remove(&handle).is_some());
                } else {
                    let text = if u.ratio(1, 3)? { plain_pattern(u)? } else { pattern(u, 2)? };
                    // Some ranges are empty.
                    if let Ok(parsed) = Pattern::parse(&text) {
                        index.insert(handle, &parsed);
                        rules.insert(handle, (text, parsed));
                    }
                }
            }
            assert_eq!(index.len(), rules.len());
            assert_eq!(index.classes().iter().sum::<usize>(), rules.len());
            for _ in 0..4 {
                let event = object(u, 3)?;
                let tree: serde_json::Value = serde_json::from_str(&event).unwrap();
                index.matches(event.as_bytes(), &mut scratch, &mut found).unwrap();
                let expected = rules.iter().filter(|(_, (_, rule))| reference::matches(rule, &tree)).map(|(h, _)| *h);
                let expected: Vec<u32> = expected.collect();
                let texts = |handles: &[u32]| handles.iter().map(|h| rules[h].0.clone()).collect::<Vec<_>>();
                assert_eq!(found, expected, "{event}\n{:#?}\n{:#?}", texts(&found), texts(&expected));
            }
        }
        let all: Vec<u32> = rules.keys().copied().collect();
        all.iter().for_each(|handle| assert!(index.remove(*handle)));
        index.matches(b"{\"a\":1}", &mut scratch, &mut found).unwrap();
        assert!(index.is_empty() && found.is_empty() && index.classes().iter().all(|count| *count == 0));
        Ok(())
    };
    arbtest::arbtest(property).budget_ms(budget_ms(3000)).size_min(2000).size_max(60_000).run();
}

#[test]
fn no_text_makes_the_pattern_parser_panic() {
    arbtest::arbtest(|u| {
        let mut text = if u.ratio(1, 4)? { String::from_utf8_lossy(u.bytes(40)?).into_owned() } else { pattern(u, 3)? };
        for _ in 0..u.int_in_range(0..=3)? {
            let at = u.choose_index(text.len() + 1)?;
            let at = (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            match u.int_in_range(0..=2)? {
                0 => text.insert_str(at, pick(u, &["[", "]", "{", "}", "\"", "\\", ",", ":", "é", "**", "$or", "1e"])?),
                1 => text.truncate(at),
                _ if at < text.len() => drop(text.remove(at)),
                _ => {}
            }
        }
        match Pattern::parse(&text) {
            Ok(pattern) => assert!(pattern.conjunctions().iter().all(|fields| !fields.is_empty())),
            Err(wrong) => assert!(text.get(wrong.span.clone()).is_some(), "{text:?} {wrong:?}"),
        }
        Ok(())
    })
    .budget_ms(budget_ms(1000))
    .run();
}

#[test]
fn events_that_are_no_json_are_refused() {
    let mut index = Index::new();
    index.insert(0, &Pattern::parse(r#"{"a":["x"]}"#).unwrap());
    let (mut scratch, mut found) = (Scratch::default(), Vec::new());
    for bad in ["", "{", r#"{"a":"x"}}"#, r#"{"a":"x","b":}"#, "{\"b\":\"\u{1}\"}", r#"{"b":"\ud800"}"#, r#"{"a":01}"#]
    {
        assert!(index.matches(bad.as_bytes(), &mut scratch, &mut found).is_err(), "{bad}");
        assert!(found.is_empty());
    }
    assert!(index.matches(b"{\"a\":\"x\",\"b\":\"\xff\"}", &mut scratch, &mut found).is_err());
    let deep = format!(r#"{{"a":{}"x"{}}}"#, "[".repeat(200_000), "]".repeat(200_000));
    index.matches(deep.as_bytes(), &mut scratch, &mut found).unwrap();
    assert_eq!(found, [0]);
}

/// Every row of the language's definition, on both evaluators.
#[test]
fn patterns_mean_what_the_language_says() {
    let cases = [
        // Plain values.
        (r#"{"a":["x"]}"#, r#"{"a":"x"}"#, true),
        (r#"{"a":["x"]}"#, r#"{"a":"\u0078"}"#, true),
        (r#"{"a":["x"]}"#, r#"{"a":"X"}"#, false),
        (r#"{"a":["::1"]}"#, r#"{"a":"0:0:0:0:0:0:0:1"}"#, false),
        (r#"{"a":[null]}"#, r#"{"a":null}"#, true),
        (r#"{"a":[null]}"#, r#"{}"#, false),
        (r#"{"a":[true]}"#, r#"{"a":"true"}"#, false),
        (r#"{"a":[300]}"#, r#"{"a":3e2}"#, true),
        (r#"{"a":[300]}"#, r#"{"a":"300"}"#, false),
        (r#"{"a":[9007199254740993]}"#, r#"{"a":9007199254740992}"#, false),
        (r#"{"a":[1e400]}"#, r#"{"a":10e399}"#, true),
        (r#"{"a":[0]}"#, r#"{"a":-0.0}"#, true),
        // Numbers in a range.
        (r#"{"a":[{"numeric":[">",0,"<=",5]}]}"#, r#"{"a":5.0}"#, true),
        (r#"{"a":[{"numeric":[">",0,"<=",5]}]}"#, r#"{"a":0}"#, false),
        (r#"{"a":[{"numeric":[">",0,"<=",5]}]}"#, r#"{"a":"3"}"#, false),
        (r#"{"a":[{"numeric":["<",1e400]}]}"#, r#"{"a":-1e999}"#, true),
        // Strings.
        (r#"{"a":[{"prefix":""}]}"#, r#"{"a":""}"#, true),
        (r#"{"a":[{"prefix":""}]}"#, r#"{"a":1}"#, false),
        (r#"{"a":[{"suffix":"yz"}]}"#, r#"{"a":"xyz"}"#, true),
        (r#"{"a":[{"prefix":{"equals-ignore-case":"AB"}}]}"#, r#"{"a":"abc"}"#, true),
        (r#"{"a":[{"suffix":{"equals-ignore-case":"É"}}]}"#, r#"{"a":"xé"}"#, true),
        (r#"{"a":[{"equals-ignore-case":"ß"}]}"#, r#"{"a":"SS"}"#, false),
        (r#"{"a":[{"equals-ignore-case":"Σ"}]}"#, r#"{"a":"ς"}"#, false),
        (r#"{"a":[{"wildcard":"a*b\\*"}]}"#, r#"{"a":"axxb*"}"#, true),
        (r#"{"a":[{"wildcard":"a*b\\*"}]}"#, r#"{"a":"axxbc"}"#, false),
        (r#"{"a":[{"wildcard":"*ab*ab*"}]}"#, r#"{"a":"xaba"}"#, false),
        (r#"{"a":[{"cidr":"10.0.0.0/8"}]}"#, r#"{"a":"10.255.0.1"}"#, true),
        (r#"{"a":[{"cidr":"10.0.0.0/8"}]}"#, r#"{"a":"::ffff:10.0.0.1"}"#, false),
        (r#"{"a":[{"cidr":"::ffff:0:0/96"}]}"#, r#"{"a":"::ffff:10.0.0.1"}"#, true),
        // What is not there.
        (r#"{"a":[{"anything-but":"x"}]}"#, r#"{"a":null}"#, true),
        (r#"{"a":[{"anything-but":"x"}]}"#, r#"{"a":"x"}"#, false),
        (r#"{"a":[{"anything-but":"x"}]}"#, r#"{"a":["x","y"]}"#, true),
        (r#"{"a":[{"anything-but":"x"}]}"#, r#"{"b":"y"}"#, false),
        (r#"{"a":[{"anything-but":"x"}]}"#, r#"{"a":{"b":"y"}}"#, false),
        (r#"{"a":[{"anything-but":"x"}]}"#, r#"{"a":[]}"#, false),
        (r#"{"a":[{"anything-but":5}]}"#, r#"{"a":"5"}"#, true),
        (r#"{"a":[{"anything-but":[5,6]}]}"#, r#"{"a":5.0}"#, false),
        (r#"{"a":[{"anything-but":{"wildcard":"x*"}}]}"#, r#"{"a":"xy"}"#, false),
        (r#"{"a":[{"anything-but":{"prefix":["x","y"]}}]}"#, r#"{"a":7}"#, true),
        (r#"{"a":[{"exists":true}]}"#, r#"{"a":null}"#, true),
        (r#"{"a":[{"exists":true}]}"#, r#"{"a":[[],{}]}"#, false),
        (r#"{"a":[{"exists":false}]}"#, r#"{"a":{"b":1}}"#, true),
        (r#"{"a":[{"exists":false},"x"]}"#, r#"{"a":"x"}"#, true),
        (r#"{"a":[{"exists":false},"x"]}"#, r#"{"a":"y"}"#, false),
        (r#"{"a":{"b":[{"exists":false}]}}"#, r#"{"a":[{"c":1},{"b":1}]}"#, false),
        // $or, also on the path of its neighbour.
        (r#"{"a":["x"],"$or":[{"b":[1]},{"c":[1]}]}"#, r#"{"a":"x","c":1}"#, true),
        (r#"{"a":["x"],"$or":[{"b":[1]},{"c":[1]}]}"#, r#"{"b":1,"c":1}"#, false),
        (r#"{"a":[{"prefix":"x"}],"$or":[{"a":[{"suffix":"y"}]},{"b":[1]}]}"#, r#"{"a":"xzy"}"#, true),
        (r#"{"a":[{"prefix":"x"}],"$or":[{"a":[{"suffix":"y"}]},{"b":[1]}]}"#, r#"{"a":["xz","zy"]}"#, false),
        // Paths, duplicate keys, arrays.
        (r#"{"a.b":["x"]}"#, r#"{"a":{"b":"x"}}"#, false),
        (r#"{"a.b":["x"]}"#, r#"{"a.b":"x"}"#, true),
        (r#"{"a":["x"]}"#, r#"{"a":"x","a":"y"}"#, false),
        (r#"{"a":{"b":["x"]}}"#, r#"{"a":{"b":"x"},"b":1,"\u0061":{"c":"x"}}"#, false),
        (r#"{"a":["x"]}"#, r#"{"a":[1,[["x"]]]}"#, true),
        (r#"{"e":{"f":["Anna"],"l":["Jones"]}}"#, r#"{"e":[{"f":"Anna","l":"Smith"},{"f":"Bob","l":"Jones"}]}"#, false),
        (r#"{"e":{"f":["Anna"],"l":["Jones"]}}"#, r#"{"e":[{"f":"Bob"},{"f":["Cid","Anna"],"l":["Jones"]}]}"#, true),
        (r#"{"e":{"f":["Anna"],"l":["Jones"]}}"#, r#"{"e":[[{"f":"Anna"},{"l":"Jones"}],[{"f":"Anna"}]]}"#, false),
        (r#"{"e":{"f":["a"],"g":["b"]},"h":["c"]}"#, r#"{"e":{"f":["x","a"],"g":["b","y"]},"h":["z","c"]}"#, true),
        (r#"{"e":{"f":["a"],"l":[{"exists":false}]}}"#, r#"{"e":[{"f":"a"},{"l":1}]}"#, false),
    ];
    for (rule, event, expected) in cases {
        let pattern = Pattern::parse(rule).unwrap();
        let tree = serde_json::from_str(event).unwrap();
        assert_eq!(reference::matches(&pattern, &tree), expected, "reference: {rule} {event}");
        let mut index = Index::new();
        index.insert(3, &pattern);
        let mut found = Vec::new();
        index.matches(event.as_bytes(), &mut Scratch::default(), &mut found).unwrap();
        assert_eq!(found, if expected { vec![3] } else { vec![] }, "index: {rule} {event}");
    }
}

/// Thousands of rules of a few forms, in two orders, with enough of each value for keys of several fields.
#[test]
fn results_do_not_depend_on_the_order_in_which_rules_came() {
    let rule = |i: usize| {
        let (a, b, c) = (i % 7, i / 7 % 11, i / 77 % 13);
        match i % 5 {
            0 => format!(r#"{{"a":["{a}"],"b":["{b}"],"c":["{c}"]}}"#),
            1 => format!(r#"{{"a":["{a}"],"b":["{b}","{}"],"c":[{{"anything-but":"{c}"}}]}}"#, b + 1),
            2 => format!(r#"{{"n":[{{"numeric":[">=",{i},"<",{}]}}],"a":["{a}"]}}"#, i + 40),
            3 => format!(r#"{{"t":[{{"wildcard":"*{i}*"}}]}}"#),
            _ => format!(r#"{{"a":["{a}"],"$or":[{{"b":["{b}"],"c":["{c}"]}},{{"n":[{i}]}}]}}"#),
        }
    };
    let rules: Vec<Pattern> = (0..6000).map(|i| Pattern::parse(&rule(i)).unwrap()).collect();
    let (mut forward, mut backward) = (Index::new(), Index::new());
    for i in 0..rules.len() {
        forward.insert(i as u32, &rules[i]);
        let from_end = rules.len() - 1 - i;
        backward.insert(from_end as u32, &rules[from_end]);
    }
    let (mut scratch, mut found, mut other) = (Scratch::default(), Vec::new(), Vec::new());
    for i in 0..15 {
        let many = format!(r#"["{}","{}"]"#, i % 7, (i + 3) % 7);
        let event =
            format!(r#"{{"a":{many},"b":"{}","c":["{}","1"],"n":{},"t":"x{}y{i}"}}"#, i % 11, i % 13, i * 90, i * 77);
        forward.matches(event.as_bytes(), &mut scratch, &mut found).unwrap();
        backward.matches(event.as_bytes(), &mut scratch, &mut other).unwrap();
        assert_eq!(found, other);
        let tree = serde_json::from_str(&event).unwrap();
        let all = 0..rules.len() as u32;
        assert_eq!(found, all.filter(|i| reference::matches(&rules[*i as usize], &tree)).collect::<Vec<_>>());
        assert!(!found.is_empty());
    }
}

/// Long arrays at all paths of a key would make millions of combinations.
#[test]
fn long_arrays_do_not_multiply() {
    let mut index = Index::new();
    let rules: Vec<Pattern> = (0..5000usize)
        .map(|i| format!(r#"{{"a":["{}"],"b":["{}"],"c":["{}"]}}"#, i % 17, i / 17 % 17, i / 289))
        .map(|text| Pattern::parse(&text).unwrap())
        .collect();
    rules.iter().enumerate().for_each(|(i, rule)| index.insert(i as u32, rule));
    let list = |step: usize| (0..3000).map(|i| format!(r#""{}""#, 1 + i * step)).collect::<Vec<_>>().join(",");
    let event = format!(r#"{{"a":[{}],"b":[{}],"c":["x",{}]}}"#, list(2), list(3), list(1));
    let (mut scratch, mut found) = (Scratch::default(), Vec::new());
    index.matches(event.as_bytes(), &mut scratch, &mut found).unwrap();
    let expected = (0..5000usize).filter(|i| i % 17 % 2 == 1 && i / 17 % 17 % 3 == 1 && i / 289 > 0);
    assert_eq!(found, expected.map(|i| i as u32).collect::<Vec<_>>());
}

/// A rule of very many values is not kept once for each of them.
#[test]
fn long_lists_are_kept_once() {
    let values: Vec<String> = (0..5000).map(|i| format!(r#""value-{i:05}""#)).collect();
    let pattern = Pattern::parse(&format!(r#"{{"a":[{}],"b":[1]}}"#, values.join(","))).unwrap();
    let mut index = Index::new();
    // The other field selects nothing.
    for rule in 1..200 {
        index.insert(rule, &Pattern::parse(r#"{"b":[1]}"#).unwrap());
    }
    index.insert(0, &pattern);
    assert!(index.bytes() < 2_000_000, "{}", index.bytes());
    let (mut scratch, mut found) = (Scratch::default(), Vec::new());
    index.matches(br#"{"a":"value-04999","b":1}"#, &mut scratch, &mut found).unwrap();
    assert_eq!(found.len(), 200);
    index.matches(br#"{"a":"value-04999","b":2}"#, &mut scratch, &mut found).unwrap();
    assert_eq!(found.len(), 0);
    assert!(index.remove(0));
    index.matches(br#"{"a":"value-04999","b":1}"#, &mut scratch, &mut found).unwrap();
    assert_eq!(found.len(), 199);
}

/// So many rules under one key that it is cut into segments, and all of them gone again.
#[test]
fn a_key_that_very_many_rules_share_holds_them_all() {
    let rule = |i: u32| match i % 3 {
        0 => r#"{"a":["x"]}"#.to_owned(),
        1 => format!(r#"{{"a":["x"],"b":[{{"anything-but":"{i}"}}]}}"#),
        _ => format!(r#"{{"b":[{{"anything-but":"{i}"}}]}}"#),
    };
    let mut index = Index::new();
    (0..6000).for_each(|i| index.insert(i, &Pattern::parse(&rule(i)).unwrap()));
    let (mut scratch, mut found) = (Scratch::default(), Vec::new());
    let mut live: Vec<u32> = (0..6000).collect();
    while !live.is_empty() {
        index.matches(br#"{"a":"x","b":"1000"}"#, &mut scratch, &mut found).unwrap();
        assert_eq!(found, live.iter().copied().filter(|i| *i != 1000).collect::<Vec<_>>());
        let gone: Vec<u32> = live.iter().copied().step_by(if live.len() > 300 { 3 } else { 1 }).collect();
        live.retain(|i| gone.binary_search(i).is_err());
        gone.iter().for_each(|i| assert!(index.remove(*i)));
        gone.iter().step_by(2).for_each(|i| index.insert(*i, &Pattern::parse(&rule(*i)).unwrap()));
        gone.iter().step_by(2).for_each(|i| assert!(index.remove(*i)));
    }
    assert!(index.is_empty());
    assert!(index.bytes() < 1_000_000, "{}", index.bytes());
}

/// Which conditions a key implies is known of the first 32 only; the others are checked all the same.
#[test]
fn patterns_of_many_fields_ask_for_all_of_them() {
    for fields in [1, 31, 32, 33, 40] {
        let members = |value: &dyn Fn(usize) -> String| {
            let members: Vec<String> = (0..fields).map(|i| format!(r#""f{i}":{}"#, value(i))).collect();
            format!("{{{}}}", members.join(","))
        };
        let mut index = Index::new();
        index.insert(0, &Pattern::parse(&members(&|i| format!("[{i}]"))).unwrap());
        let (mut scratch, mut found) = (Scratch::default(), Vec::new());
        index.matches(members(&|i| i.to_string()).as_bytes(), &mut scratch, &mut found).unwrap();
        assert_eq!(found, [0], "{fields} fields");
        for other in 0..fields {
            let event = members(&|i| if i == other { "true".to_owned() } else { i.to_string() });
            index.matches(event.as_bytes(), &mut scratch, &mut found).unwrap();
            assert_eq!(found.len(), 0, "field {other} of {fields}");
        }
        assert!(index.remove(0) && index.is_empty());
    }
}
