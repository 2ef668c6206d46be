//! Where ARM and Entra are. Azure has several clouds; the settings that Azure users know
//! name one by any of its addresses, or describe one of their own.

use url::Url;

/// The addresses of one Azure cloud. All of them are https origins without a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cloud {
    /// Where tokens come from, such as `https://login.microsoftonline.com/`.
    pub authority_host: Url,
    /// Azure Resource Manager, such as `https://management.azure.com/`.
    pub resource_manager: Url,
    /// For whom a token is asked, without `/.default`.
    pub audience: String,
}

/// Settings that describe no cloud.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCloud {
    /// An address isn't an https origin.
    #[error(
        "{setting}={value:?} must be an https URL without path, query or user, such as https://management.azure.com"
    )]
    Address {
        /// The setting's name.
        setting: &'static str,
        /// Its value.
        value: String,
    },
    /// The audience can't be one.
    #[error("AZURE_RESOURCE_MANAGER_AUDIENCE={0:?} must be a URI without spaces, such as https://management.azure.com")]
    Audience(String),
    /// Two settings name two different clouds.
    #[error("{0} and {1} belong to two different Azure clouds: set addresses of one cloud")]
    Mixed(&'static str, &'static str),
}

const AUTHORITY: &str = "AZURE_AUTHORITY_HOST";
const RESOURCE_MANAGER: &str = "AZURE_RESOURCE_MANAGER_ENDPOINT";
const AUDIENCE: &str = "AZURE_RESOURCE_MANAGER_AUDIENCE";

/// Authority host and ARM endpoint of the clouds that Microsoft runs, as in Microsoft's
/// documentation of national clouds. ARM's endpoint is its audience too.
const KNOWN: [(&str, &str); 3] = [
    ("https://login.microsoftonline.com", "https://management.azure.com"),
    ("https://login.microsoftonline.us", "https://management.usgovcloudapi.net"),
    ("https://login.partner.microsoftonline.cn", "https://management.chinacloudapi.cn"),
];

/// Hosts of Entra that a cloud had before: they name it, and are asked if they are set.
const OLD_AUTHORITIES: [(&str, usize); 2] = [("https://login.chinacloudapi.cn", 2), ("https://login.windows.net", 0)];

/// Audiences of the older management API, which ARM still accepts; they tell the cloud too.
const OLD_AUDIENCES: [&str; 3] = [
    "https://management.core.windows.net",
    "https://management.core.usgovcloudapi.net",
    "https://management.core.chinacloudapi.cn",
];

impl Cloud {
    /// Azure's public cloud.
    pub fn public() -> Self {
        Self::known(0)
    }

    /// Azure US Government.
    pub fn us_government() -> Self {
        Self::known(1)
    }

    /// Azure operated by 21Vianet in China.
    pub fn china() -> Self {
        Self::known(2)
    }

    /// The cloud that AZURE_AUTHORITY_HOST, AZURE_RESOURCE_MANAGER_ENDPOINT and
    /// AZURE_RESOURCE_MANAGER_AUDIENCE describe; unset or empty ones are filled in. One
    /// address of a known cloud is enough for the rest. With an unknown ARM endpoint the
    /// audience is that endpoint itself, so that a token which the real Azure would take
    /// is never sent to another host unless someone asks for it.
    ///
    /// # Errors
    /// When an address isn't an https origin or two settings belong to different clouds.
    pub fn from_settings(
        authority: Option<&str>,
        resource_manager: Option<&str>,
        audience: Option<&str>,
    ) -> Result<Self, InvalidCloud> {
        let given = |value: Option<&str>| value.map(str::trim).filter(|v| !v.is_empty()).map(str::to_owned);
        let authority = given(authority).map(|v| origin(AUTHORITY, &v)).transpose()?;
        let resource_manager = given(resource_manager).map(|v| origin(RESOURCE_MANAGER, &v)).transpose()?;
        let audience = given(audience);
        if let Some(text) = &audience
            && (text.contains(char::is_whitespace) || Url::parse(text).is_err())
        {
            return Err(InvalidCloud::Audience(text.clone()));
        }

        let named = [
            (AUTHORITY, authority.as_ref().and_then(authority_position)),
            (RESOURCE_MANAGER, resource_manager.as_ref().and_then(|url| position(url, |known| known.1))),
            (AUDIENCE, audience.as_deref().and_then(audience_position)),
        ];
        let named: Vec<(&str, usize)> =
            named.into_iter().filter_map(|(setting, index)| Some((setting, index?))).collect();
        if let Some(pair) = named.windows(2).find(|pair| pair[0].1 != pair[1].1) {
            return Err(InvalidCloud::Mixed(pair[0].0, pair[1].0));
        }

        let base = Self::known(named.first().map_or(0, |(_, index)| *index));
        let audience = audience.or_else(|| resource_manager.as_ref().map(bare)).unwrap_or(base.audience);
        Ok(Self {
            authority_host: authority.unwrap_or(base.authority_host),
            resource_manager: resource_manager.unwrap_or(base.resource_manager),
            audience,
        })
    }

    /// The scope that tokens are asked for.
    pub(crate) fn scope(&self) -> String {
        format!("{}/.default", self.audience.trim_end_matches('/'))
    }

    /// Where a tenant's tokens come from, which is the audience of an assertion for one.
    pub(crate) fn token_endpoint(&self, tenant_id: &str) -> String {
        format!("{}{tenant_id}/oauth2/v2.0/token", self.authority_host)
    }

    /// Whether a URL is on the configured ARM host: same scheme, host and port, no user.
    pub(crate) fn is_resource_manager(&self, url: &Url) -> bool {
        url.scheme() == "https"
            && url.origin() == self.resource_manager.origin()
            && url.username().is_empty()
            && url.password().is_none()
    }

    fn known(index: usize) -> Self {
        let (authority, resource_manager) = KNOWN[index];
        Self {
            authority_host: constant(authority),
            resource_manager: constant(resource_manager),
            audience: resource_manager.to_owned(),
        }
    }
}

/// An address of this file as a URL.
fn constant(address: &str) -> Url {
    match Url::parse(address) {
        Ok(url) => url,
        Err(_) => unreachable!("the known clouds' addresses are URLs, which a test checks"),
    }
}

fn position(url: &Url, address: fn(&(&'static str, &'static str)) -> &'static str) -> Option<usize> {
    KNOWN.iter().position(|known| bare(url) == address(known))
}

fn authority_position(url: &Url) -> Option<usize> {
    let old = || OLD_AUTHORITIES.iter().find(|(old, _)| bare(url) == *old).map(|(_, index)| *index);
    position(url, |known| known.0).or_else(old)
}

fn audience_position(audience: &str) -> Option<usize> {
    let audience = audience.trim_end_matches('/').to_ascii_lowercase();
    KNOWN.iter().zip(OLD_AUDIENCES).position(|(known, old)| audience == known.1 || audience == old)
}

/// An address without its trailing slash.
fn bare(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

fn origin(setting: &'static str, value: &str) -> Result<Url, InvalidCloud> {
    let invalid = || InvalidCloud::Address { setting, value: value.to_owned() };
    let url = Url::parse(value).map_err(|_| invalid())?;
    let is_origin = url.scheme() == "https"
        && url.has_host()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if is_origin { Ok(url) } else { Err(invalid()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_names_the_whole_cloud() {
        type Row<'a> = (Option<&'a str>, Option<&'a str>, Option<&'a str>, Cloud);
        let rows: [Row<'_>; 11] = [
            (Some("https://login.partner.microsoftonline.cn"), None, None, Cloud::china()),
            (Some("https://login.chinacloudapi.cn"), None, None, {
                Cloud { authority_host: constant("https://login.chinacloudapi.cn"), ..Cloud::china() }
            }),
            (None, None, None, Cloud::public()),
            (Some(""), Some(" "), None, Cloud::public()),
            (Some("https://login.microsoftonline.com/"), None, None, Cloud::public()),
            (Some("https://login.microsoftonline.us"), None, None, Cloud::us_government()),
            (None, Some("https://MANAGEMENT.usgovcloudapi.net/"), None, Cloud::us_government()),
            (None, None, Some("https://management.usgovcloudapi.net/"), {
                Cloud { audience: "https://management.usgovcloudapi.net/".into(), ..Cloud::us_government() }
            }),
            (None, None, Some("https://management.core.chinacloudapi.cn/"), {
                Cloud { audience: "https://management.core.chinacloudapi.cn/".into(), ..Cloud::china() }
            }),
            (None, Some("https://management.chinacloudapi.cn:443"), None, Cloud::china()),
            (
                Some("https://localhost:1234"),
                Some("https://localhost:1234"),
                Some("https://management.azure.com"),
                Cloud {
                    authority_host: constant("https://localhost:1234"),
                    resource_manager: constant("https://localhost:1234"),
                    audience: "https://management.azure.com".into(),
                },
            ),
        ];
        for (authority, resource_manager, audience, cloud) in rows {
            let read = Cloud::from_settings(authority, resource_manager, audience);
            assert_eq!(read, Ok(cloud), "{authority:?} {resource_manager:?} {audience:?}");
        }
    }

    #[test]
    fn a_private_endpoint_gets_no_token_for_azure_unasked() {
        let cloud = Cloud::from_settings(None, Some("https://arm.internal:8443/"), None).unwrap();
        assert_eq!(cloud.audience, "https://arm.internal:8443");
        assert_eq!(cloud.scope(), "https://arm.internal:8443/.default");
    }

    #[test]
    fn refuses_what_is_no_cloud() {
        let rows = [
            (Some("http://login.microsoftonline.com"), None, None),
            (Some("login.microsoftonline.com"), None, None),
            (None, Some("https://management.azure.com/path"), None),
            (None, Some("https://user:pw@management.azure.com"), None),
            (None, Some("https://management.azure.com?x=y"), None),
            (None, None, Some("not a uri")),
            (Some("https://login.microsoftonline.us"), Some("https://management.chinacloudapi.cn"), None),
            (None, Some("https://management.azure.com"), Some("https://management.chinacloudapi.cn")),
        ];
        for (authority, resource_manager, audience) in rows {
            let read = Cloud::from_settings(authority, resource_manager, audience);
            assert!(read.is_err(), "{authority:?} {resource_manager:?} {audience:?} gave {read:?}");
        }
    }

    #[test]
    fn knows_its_own_host() {
        let cloud = Cloud::public();
        let rows = [
            ("https://management.azure.com/x?y=z", true),
            ("https://MANAGEMENT.azure.com:443/x", true),
            ("http://management.azure.com/x", false),
            ("https://management.azure.com:444/x", false),
            ("https://management.azure.com.evil.example/x", false),
            ("https://user@management.azure.com/x", false),
            ("https://evil.example/management.azure.com", false),
        ];
        for (url, expected) in rows {
            assert_eq!(cloud.is_resource_manager(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }
}
