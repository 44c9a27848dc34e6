//! `/`: a page for people, served from the binary, with everything it needs: no request leaves for elsewhere. It holds no
//! data; its script asks the API and puts what it gets into the page as text, never as markup.

use axum::http::{HeaderName, header};

type Asset = ([(HeaderName, &'static str); 1], &'static str);

const fn asset(media_type: &'static str, content: &'static str) -> Asset {
    ([(header::CONTENT_TYPE, media_type)], content)
}

/// The page.
pub(crate) async fn html() -> Asset {
    asset("text/html; charset=utf-8", include_str!("front_page/page.html"))
}

/// Its script.
pub(crate) async fn script() -> Asset {
    asset("text/javascript; charset=utf-8", include_str!("front_page/page.js"))
}

/// Its looks.
pub(crate) async fn style() -> Asset {
    asset("text/css; charset=utf-8", include_str!("front_page/page.css"))
}
