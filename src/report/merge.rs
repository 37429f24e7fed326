//! One server, two names: a detection can come before the host is known (the
//! connection opens before the request is sent) or without it (one direction
//! only). Such an entry has but an address; if exactly one named server was
//! seen at that address, it is that server.

use std::collections::BTreeMap;

use super::inventory::{ServerEntry, ServerKey};

pub(super) fn merge_unnamed<'a>(
    entries: impl Iterator<Item = (&'a ServerKey, &'a ServerEntry)>,
    cap: usize,
) -> BTreeMap<ServerKey, ServerEntry> {
    let mut merged: BTreeMap<_, _> =
        entries.map(|(key, entry)| (key.clone(), entry.clone())).collect();
    for (unnamed, name) in namesakes(&merged) {
        if let Some(entry) = merged.remove(&unnamed)
            && let Some(named) = merged.get_mut(&name)
        {
            named.absorb(&entry, cap);
        }
    }
    merged
}

/// Each unnamed server that is a named one, with that one.
fn namesakes(servers: &BTreeMap<ServerKey, ServerEntry>) -> Vec<(ServerKey, ServerKey)> {
    let mut at_address: BTreeMap<&str, Option<&ServerKey>> = BTreeMap::new();
    for (key, entry) in servers {
        if let ServerKey::Named(..) = key {
            for address in entry.addresses.iter() {
                // Two names at one address: it can be either.
                at_address.entry(address).and_modify(|only| *only = None).or_insert(Some(key));
            }
        }
    }
    servers
        .keys()
        .filter_map(|key| match key {
            ServerKey::Unnamed(address) => {
                let name = (*at_address.get(address.to_string().as_str())?)?;
                Some((key.clone(), name.clone()))
            }
            ServerKey::Named(..) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Inventory, samples};

    fn names(hosts: &[Option<&str>]) -> Vec<(String, u64)> {
        let mut inventory = Inventory::default();
        for host in hosts {
            let mut row = samples::conversation();
            row.tls.sni = None;
            row.flow.server_name = None;
            row.http.host = host.map(str::to_owned);
            inventory.add(&row);
        }
        let servers = inventory.report().servers;
        servers.into_iter().map(|server| (server.name, server.conversations)).collect()
    }

    #[test]
    fn an_address_with_one_name_has_that_name() {
        assert_eq!(names(&[None, Some("a.example")]), [("a.example".to_owned(), 2)]);
        assert_eq!(names(&[Some("a.example"), Some("203.0.113.7")]), [("a.example".to_owned(), 2)]);
    }

    #[test]
    fn an_address_with_two_names_stays_apart() {
        let names = names(&[None, Some("a.example"), Some("b.example")]);
        assert_eq!(names.len(), 3);
        assert!(names.contains(&("203.0.113.7:443".to_owned(), 1)));
    }
}
