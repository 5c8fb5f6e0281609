"""Lists that people write in one line."""


def words(text: str) -> tuple[str, ...]:
    """Return the words of a text that are separated by blanks, line ends or commas."""
    return tuple(text.replace(",", " ").split())


def between_commas(text: str) -> tuple[str, ...]:
    """Return the parts of a text between its commas, without the blanks around them. Empty parts are left out."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
