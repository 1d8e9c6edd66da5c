//! The end date of a certificate, read straight from its DER.
//!
//! RFC 5280, 4.1: a certificate is `SEQUENCE { tbs SEQUENCE { [0] version?, serial INTEGER,
//! algorithm SEQUENCE, issuer SEQUENCE, validity SEQUENCE { notBefore, notAfter }, … }, … }`. The
//! rest is of no use here, so no ASN.1 library is needed. The verifier has judged the certificate
//! already; anything unexpected is `None`.

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Seconds since the epoch after which the certificate is not valid any more.
pub(super) fn not_after(der: &[u8]) -> Option<i64> {
    let (certificate, _) = expect(SEQUENCE, der)?;
    let (mut rest, _) = expect(SEQUENCE, certificate)?;
    if let Some((_, after)) = expect(VERSION, rest) {
        rest = after;
    }
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        rest = expect(tag, rest)?.1;
    }
    let (validity, _) = expect(SEQUENCE, rest)?;
    let (_, _, after) = element(validity)?;
    let (tag, time, _) = element(after)?;
    match tag {
        UTC_TIME => {
            // Two digits: 50 and above are the last century (RFC 5280, 4.1.2.5.1).
            let year = digits(time.get(..2)?)?;
            seconds(
                if year < 50 { 2000 + year } else { 1900 + year },
                time.get(2..)?,
            )
        }
        GENERALIZED_TIME => seconds(digits(time.get(..4)?)?, time.get(4..)?),
        _ => None,
    }
}

fn expect(tag: u8, input: &[u8]) -> Option<(&[u8], &[u8])> {
    element(input)
        .filter(|(found, _, _)| *found == tag)
        .map(|(_, content, rest)| (content, rest))
}

/// Tag, content and what follows.
fn element(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = input.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let length = if first < 0x80 {
        usize::from(first)
    } else {
        let (bytes, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
        rest = after;
        if bytes.is_empty() || bytes.len() > 4 {
            return None;
        }
        bytes
            .iter()
            .fold(0, |length, &byte| length << 8 | usize::from(byte))
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// `MMDDHHMMSSZ` in a year, as seconds since the epoch.
fn seconds(year: i64, rest: &[u8]) -> Option<i64> {
    let &[m1, m2, d1, d2, h1, h2, i1, i2, s1, s2, b'Z'] = rest else {
        return None;
    };
    let month = digits(&[m1, m2]).filter(|month| (1..=12).contains(month))?;
    let day = digits(&[d1, d2]).filter(|day| (1..=31).contains(day))?;
    let (hour, minute, second) = (digits(&[h1, h2])?, digits(&[i1, i2])?, digits(&[s1, s2])?);
    Some(days_since_epoch(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |value, byte| {
        byte.is_ascii_digit()
            .then(|| value * 10 + i64::from(byte - b'0'))
    })
}

/// Days from 1970-01-01 in the Gregorian calendar. The year begins in March, so that the leap day is
/// its last.
const fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate_until(year: i32, month: u8, day: u8) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(1975, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, month, day);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn reads_both_forms_of_the_date() {
        for (date, expected) in [
            ((2049, 12, 31), 2_524_521_600), // the last year of UTCTime
            ((2050, 1, 1), 2_524_608_000),   // the first of GeneralizedTime
            ((2024, 2, 29), 1_709_164_800),
            ((2000, 3, 1), 951_868_800),
            ((1999, 12, 31), 946_598_400),
            ((2100, 3, 1), 4_107_542_400), // 2100 is no leap year
        ] {
            let der = certificate_until(date.0, date.1, date.2);
            assert_eq!(not_after(&der), Some(expected), "{date:?}");
        }
    }

    #[test]
    fn answers_nothing_for_a_certificate_cut_anywhere() {
        let der = certificate_until(2030, 1, 1);
        for end in 0..der.len() {
            assert_eq!(not_after(&der[..end]), None, "cut at {end}");
        }
    }
}
