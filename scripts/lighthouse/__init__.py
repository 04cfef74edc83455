"""Google's Lighthouse on the pages that matter, as phones see them."""
