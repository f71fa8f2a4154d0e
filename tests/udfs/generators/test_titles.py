from __future__ import annotations

import pytest

from udfs.generators.titles import is_how_to, is_question, is_task, is_usable

TEXT = "Un texto con algo que decir. " * 20


def usable(title: str, title_en: str, text: str = TEXT, max_chars: int = 150) -> bool:
    return is_usable(title, title_en, text, max_chars)


@pytest.mark.parametrize(
    ("title", "title_en"),
    [
        ("Mitologia japonesa", "Japanese mythology"),
        ("Pirri (futbolista)", "Pirri (Footballer)"),
        ("Elecciones federales de Canadá de 1984", "Federal elections of Canada of 1984"),
        ("Pere II de Iugoslàvia", "Pere II of Yugoslavia"),
        ("24kGoldn", "24kGoldn"),
        ("¿Qué es el hip hop?", "What is the hip-hop?"),
        ("Disponible el GNOME 3.10 en català", "Available the GNOME 3.10 at Catalan"),
        ("Die „gute“ Stadt", 'The "good" city'),
        ("IMPOSTOS E TARIFAS", "TAXES AND RATES"),
        ("كرة القدم ١٩٣٠", "Football 1930"),
        ("I fan di MMA a Roma", "The fans of MMA in Rome"),
    ],
)
def test_titles_that_can_stand(title: str, title_en: str) -> None:
    assert usable(title, title_en)


@pytest.mark.parametrize(
    ("title", "title_en"),
    [
        pytest.param("1939", "1939", id="number"),
        pytest.param("12 de maig", "12 May", id="day"),
        pytest.param("Años 1990", "1990s", id="decade"),
        pytest.param("Segle XX", "20th century", id="century"),
        pytest.param("Agosto", "August", id="month"),
        pytest.param("C++", "C++", id="no word"),
        pytest.param("https://example.org/a", "https://example.org/a", id="address"),
        pytest.param("index.html", "index.html", id="file"),
        pytest.param("Anexo:Ríos de Chile", "Annex:Rivers of Chile", id="list page"),
        pytest.param("Llista d'ocells", "List of birds", id="list"),
        pytest.param("Ríos de Chile", "List of rivers of Chile", id="list by its translation"),
        pytest.param("Mercurio (desambiguación)", "Mercury (disambiguation)", id="namesakes"),
        pytest.param("Categoría:Ríos", "Category:Rivers", id="category"),
        pytest.param("La ciudad cierra la", "The city closes the…", id="cut"),
        pytest.param("La ciudad cierra la cal-", "The city closes the str-", id="cut within a word"),
        pytest.param('La "ciudad cierra', 'The "city closes', id="quote left open"),
        pytest.param("La ciudad (cierra", "The city (closes", id="bracket left open"),
        pytest.param("{{Título}}", "{{Title}}", id="template"),
        pytest.param("[[La ciudad]]", "[[The city]]", id="link"),
        pytest.param("La ciudad &nbsp; cierra", "The city &nbsp; closes", id="entity"),
        pytest.param("La ciudad cierra", "The city @cerrar", id="word that the engine did not make"),
        pytest.param("IDLE", "Go HIM", id="abbreviation taken for a verb"),
        pytest.param("Napoléon Ier", "Napoleon And", id="ruler's number taken for a word"),
        pytest.param("Windows 8 en català", "Windows at Catalan", id="number lost"),
    ],
)
def test_titles_that_are_none(title: str, title_en: str) -> None:
    assert not usable(title, title_en)


def test_length_is_that_of_the_longer_title() -> None:
    assert usable("Ríos", "R" * 30, max_chars=30)
    assert not usable("Ríos", "R" * 31, max_chars=30)
    assert not usable("R" * 31, "Rivers", max_chars=30)


def test_a_text_must_say_more_than_its_title() -> None:
    title = "La ciudad cierra la calle del río"
    assert not usable(title, "The city closes the street", text=f"{title}\nLeer más")


@pytest.mark.parametrize(
    ("title", "language"),
    [
        ("How to Wash a Car", "eng_Latn"),
        ("Cómo lavar un coche", "spa_Latn"),
        ("Como lavar o coche", "glg_Latn"),
        ("Como se lavar", "por_Latn"),
        ("Como pôr a mesa", "por_Latn"),
        ("Com rentar el cotxe", "cat_Latn"),
        ("Com no perdre's", "cat_Latn"),
        ("Come fare una GIF", "ita_Latn"),
        ("Come lavarsi i denti", "ita_Latn"),
        ("Comment ne pas se perdre", "fra_Latn"),
        ("Comment s'habiller", "fra_Latn"),
        ("Kiel lavi aŭton", "epo_Latn"),
        ("Wie man ein Auto wäscht", "deu_Latn"),
        ("Как не потеряться", "rus_Cyrl"),
    ],
)
def test_how_to_titles(title: str, language: str) -> None:
    assert is_how_to(title, language)


@pytest.mark.parametrize(
    ("title", "language"),
    [
        ("Cómo Roma cayó", "spa_Latn"),
        ("Cómo la guerra cambió Europa", "spa_Latn"),
        ("Com la guerra comercial pot beneficiar Pequín", "cat_Latn"),
        ("Com que era possible, vam fer la nostra part", "cat_Latn"),
        ("Come la guerra ha cambiato l'Europa", "ita_Latn"),
        ("Comment la guerre commerciale pourrait bénéficier à Pékin", "fra_Latn"),
        ("Como a guerra comercial pode ser benéfica", "por_Latn"),
        ("Como por arte de magia", "por_Latn"),
        ("Lavar un coche", "spa_Latn"),
        ("Cómo lavar un coche", "xxx_Latn"),
    ],
)
def test_titles_of_other_texts_are_no_how_to(title: str, language: str) -> None:
    assert not is_how_to(title, language)


@pytest.mark.parametrize(
    ("title", "language", "expected"),
    [
        ("calcular el rendimiento anualizado", "spa_Latn", True),
        ("Amarrar um laço ao redor de uma caixa", "por_Latn", True),
        ("nouer un ruban autour d'une boite", "fra_Latn", True),
        ("Convertire molti file markdown in PDF", "ita_Latn", True),
        ("воздержаться от вождения", "rus_Cyrl", True),
        ("Capoluoghi di provincia italiani", "ita_Latn", False),
        ("Geschenkband binden", "deu_Latn", False),
    ],
)
def test_tasks(title: str, language: str, expected: bool) -> None:
    assert is_task(title, language) is expected


@pytest.mark.parametrize("title", ["What is a fjord?", "¿Qué es un fiordo?", "フィヨルドとは？", "ما هو؟", "“Why?”"])
def test_questions(title: str) -> None:
    assert is_question(title)


def test_a_statement_is_no_question() -> None:
    assert not is_question("Why a fjord is deep")
