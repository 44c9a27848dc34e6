//! Places for connections: so many in all, and so many of one address, so that one client cannot keep the others out.

use crate::access::rate::address_of;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// How many connections each address has open. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct AddressPlaces(Arc<Mutex<HashMap<String, u32>>>);

/// A place of an address; dropped, it is free again.
pub(crate) struct AddressPlace {
    all: AddressPlaces,
    address: String,
}

impl AddressPlaces {
    /// A place for one more connection of an address; none: it has as many as it may.
    pub(crate) fn take(&self, ip: IpAddr, most: u32) -> Option<AddressPlace> {
        let address = address_of(ip);
        let mut all = self.0.lock();
        let open = all.entry(address.clone()).or_default();
        if *open >= most {
            return None;
        }
        *open += 1;
        Some(AddressPlace { all: self.clone(), address })
    }
}

impl Drop for AddressPlace {
    fn drop(&mut self) {
        let mut all = self.all.0.lock();
        if let Some(open) = all.get_mut(&self.address) {
            *open -= 1;
            if *open == 0 {
                all.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_places_and_gives_them_back() {
        let places = AddressPlaces::default();
        let (one, other): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let held: Vec<_> = (0..3).map(|_| places.take(one, 3).unwrap()).collect();
        assert!(places.take(one, 3).is_none() && places.take(other, 3).is_some());
        drop(held);
        assert!(places.take(one, 3).is_some() && places.0.lock().is_empty());
    }
}
