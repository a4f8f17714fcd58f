//! How credits, accounts and epochs are read and written.

use identity::AccountId;
use ledger::{
    EPOCH_SECONDS, GENESIS, Id, MICRO,
    audit::{EventKind, Head},
};

use edge_net::solo::GRANT_UCREDITS;

/// Reads credits with at most 6 decimals, above 0.
pub(crate) fn credits(text: &str) -> Result<u64, String> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || decimals.len() > 6 {
        return Err("credits are written as 12 or 12.345678, with at most 6 decimals".into());
    }
    let whole = whole.parse::<u64>().ok().and_then(|credits| credits.checked_mul(MICRO));
    let decimals = format!("{decimals:0<6}").parse::<u64>().ok();
    let amount = whole.zip(decimals).and_then(|(whole, decimals)| whole.checked_add(decimals));
    match amount {
        Some(0) => Err("must be above 0".into()),
        Some(amount) if amount <= GENESIS => Ok(amount),
        _ => Err(format!("there are {} credits in all", GENESIS / MICRO)),
    }
}

/// Micro-credits as credits with 6 decimals, exactly.
pub(crate) fn shown(ucredits: impl TryInto<i128>) -> String {
    // Sums of credits are far below the limit.
    let ucredits = ucredits.try_into().unwrap_or(i128::MAX);
    let sign = if ucredits < 0 { "-" } else { "" };
    let (magnitude, micro) = (ucredits.unsigned_abs(), u128::from(MICRO));
    format!("{sign}{}.{:06}", magnitude / micro, magnitude % micro)
}

/// The same with its sign; nothing has none.
pub(crate) fn signed(ucredits: i128) -> String {
    if ucredits > 0 { format!("+{}", shown(ucredits)) } else { shown(ucredits) }
}

/// Reads an account.
pub(crate) fn account(text: &str) -> Result<AccountId, String> {
    text.parse().map_err(|e: identity::AccountIdError| e.to_string())
}

/// Reads an account, and makes sure that a key can hold it.
pub(crate) fn holder(text: &str) -> Result<AccountId, String> {
    let account = account(text)?;
    account.public_key().map_err(|_| "no key can hold this account")?;
    Ok(account)
}

/// Reads `ACCOUNT` or `ACCOUNT=CREDITS`.
pub(crate) fn grant(text: &str) -> Result<(AccountId, u64), String> {
    let (name, amount) = text.split_once('=').map_or((text, None), |(name, amount)| (name, Some(amount)));
    Ok((holder(name)?, amount.map_or(Ok(GRANT_UCREDITS), credits)?))
}

/// Reads the name of a kind of event.
pub(crate) fn kind(name: &str) -> Result<EventKind, String> {
    EventKind::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.name()).collect();
        format!("kinds are {}", names.join(", "))
    })
}

/// Reads the head of an audit log: how many entries, and the id of the last.
pub(crate) fn head(text: &str) -> Result<Head, String> {
    let parts =
        text.split_once(':').and_then(|(entries, id)| Some((entries.parse().ok()?, Id::from_hex(id)?)));
    let (entries, id) = parts.ok_or("a head is written as N:HEX, with 64 hexadecimal digits")?;
    Ok(Head { entries, id: *id.as_bytes() })
}

/// Writes what [`head`] reads.
pub(crate) fn shown_head(head: &Head) -> String {
    format!("{}:{}", head.entries, Id::from_bytes(head.id))
}

/// The epoch it is: minutes since 1970.
pub(crate) fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() / EPOCH_SECONDS)
}

/// An epoch's date and time in UTC, where it can be one: networks of simulations count from 0.
pub(crate) fn time(epoch: u64) -> Option<String> {
    if !(YEAR_2020..YEAR_10000).contains(&epoch) {
        return None;
    }
    let (days, minute) = (epoch / 1440, epoch % 1440);
    let (year, month, day) = date(days);
    Some(format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}Z", minute / 60, minute % 60))
}

/// An epoch for people.
pub(crate) fn when(epoch: u64) -> String {
    match time(epoch) {
        Some(time) => format!("{epoch} {}", time.trim_end_matches('Z').replace('T', " ")),
        None => epoch.to_string(),
    }
}

/// Year, month and day of a number of days since 1970, in the Gregorian calendar (H. Hinnant, `civil_from_days`).
fn date(days: u64) -> (u64, u64, u64) {
    // Days since 0000-03-01: leap days are then the last of their years.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (400 * era + year_of_era + u64::from(month <= 2), month, day)
}

const YEAR_2020: u64 = 26_297_280;
const YEAR_10000: u64 = 4_223_371_680;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credits_are_read_and_written_exactly() {
        let cases = [
            ("1", 1_000_000),
            ("2.5", 2_500_000),
            ("0.000001", 1),
            ("12.345678", 12_345_678),
            ("1000000000", GENESIS),
            ("007.10", 7_100_000),
        ];
        for (text, amount) in cases {
            assert_eq!(credits(text), Ok(amount), "{text}");
            assert_eq!(credits(&shown(amount)), Ok(amount), "{text}");
        }
        for text in [
            "",
            ".",
            "0",
            "0.0",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "1,5",
            "1.0000001",
            "1000000000.000001",
            "99999999999999999999",
            "18446744073709.551616",
            " 1",
            "1 ",
            "٣",
        ] {
            assert!(credits(text).is_err(), "{text:?}");
        }
        assert_eq!([shown(0), shown(7), shown(-2_500_000)], ["0.000000", "0.000007", "-2.500000"]);
        assert_eq!([signed(0), signed(7), signed(-7)], ["0.000000", "+0.000007", "-0.000007"]);
    }

    #[test]
    fn epochs_have_dates() {
        // From `date -u -d @$((60 * N))`.
        for (epoch, text) in [
            (26_297_280, "2020-01-01T00:00Z"),
            (27_343_379, "2021-12-27T10:59Z"),
            (28_487_519, "2024-02-29T23:59Z"),
            (28_487_520, "2024-03-01T00:00Z"),
            (68_374_079, "2099-12-31T23:59Z"),
            (68_459_040, "2100-03-01T00:00Z"),
            (4_223_371_679, "9999-12-31T23:59Z"),
        ] {
            assert_eq!(time(epoch).as_deref(), Some(text));
        }
        for epoch in [0, 1000, YEAR_2020 - 1, YEAR_10000, u64::MAX] {
            assert_eq!(time(epoch), None);
            assert_eq!(when(epoch), epoch.to_string());
        }
        assert_eq!(when(26_297_281), "26297281 2020-01-01 00:01");
    }

    #[test]
    fn heads_come_back() {
        let own = Head { entries: 7, id: [0xab; 32] };
        assert_eq!(head(&shown_head(&own)), Ok(own));
        for text in ["", "7", "7:", "7:ab", ":ab", "x:00", "-1:00"] {
            assert!(head(text).is_err(), "{text:?}");
        }
    }
}
